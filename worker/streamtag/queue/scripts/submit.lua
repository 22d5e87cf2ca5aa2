#!lua
-- One job in, unless the queue is full or knows the id already.
-- KEYS jobs, job   ARGV job, cap, now, group
if redis.call('EXISTS', KEYS[2]) == 1 then
  return {'EXISTS', redis.call('HGET', KEYS[2], 'status') or ''}
end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[2]) then
  return {'FULL'}
end
local entry = redis.call('XADD', KEYS[1], '*', 'job', ARGV[1])
redis.call('HSET', KEYS[2], 'status', 'queued', 'entry', entry, 'job', ARGV[1], 'submitted', ARGV[3], 'updated', ARGV[3])
return {'OK', 'queued'}
