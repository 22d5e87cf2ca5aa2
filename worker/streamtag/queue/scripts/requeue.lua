#!lua
-- A dead letter becomes a job again and goes on from its checkpoint.
-- KEYS dlq, jobs, job, res   ARGV letter, now, job ('' for the one that is kept), 1 where its source may hold a secret
local fault = foreign('stream', KEYS[1], KEYS[2])
if fault then
  return {'UNUSABLE', fault}
end
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then
  return {'UNKNOWN'}
end
fault = unreadable(KEYS[3]) or foreign('stream', KEYS[4])
if fault then
  return {'REFUSED', fault}
end
local status, job, shown = unpack(redis.call('HMGET', KEYS[3], 'status', 'job', 'shown'))
if not shown then
  return {'GONE'}
end
if status ~= 'failed' then
  return {'OTHER', status}
end
job = ARGV[3] ~= '' and ARGV[3] or job
if not job then
  return {'SECRET', shown}
end
local entry = redis.call('XADD', KEYS[2], '*', 'job', job)
redis.call('HSET', KEYS[3], 'status', 'queued', 'entry', entry, 'crashes', 0, 'blamed', '', 'owner', '', 'state', '',
  'updated', ARGV[2])
if ARGV[4] ~= '1' then
  redis.call('HSET', KEYS[3], 'job', job)
end
redis.call('HDEL', KEYS[3], 'cancel', 'reason', 'finished')
redis.call('PERSIST', KEYS[3])
redis.call('PERSIST', KEYS[4])
redis.call('XDEL', KEYS[1], ARGV[1])
return {'OK'}
