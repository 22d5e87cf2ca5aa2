#!lua
-- A dead letter becomes a job again and goes on from its checkpoint.
-- KEYS dlq, jobs, job, res   ARGV dlq entry, now
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then
  return {'UNKNOWN'}
end
local job = redis.call('HGET', KEYS[3], 'job')
if not job then
  return {'GONE'}
end
local entry = redis.call('XADD', KEYS[2], '*', 'job', job)
redis.call('HSET', KEYS[3], 'status', 'queued', 'entry', entry, 'attempts', 0, 'state', '', 'updated', ARGV[2])
redis.call('HDEL', KEYS[3], 'cancel', 'reason', 'finished')
redis.call('PERSIST', KEYS[3])
redis.call('PERSIST', KEYS[4])
redis.call('XDEL', KEYS[1], ARGV[1])
return {'OK'}
