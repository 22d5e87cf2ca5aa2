#!lua
-- One job in, unless the queue is full or knows the id already.
-- KEYS jobs, job   ARGV cap, now, job, job as shown, 1 where it is secret
local fault = foreign('stream', KEYS[1])
if fault then
  return {'UNUSABLE', fault}
end
fault = unreadable(KEYS[2])
if fault then
  return {'REFUSED', fault}
end
local status, job, shown = unpack(redis.call('HMGET', KEYS[2], 'status', 'job', 'shown'))
if status then
  return {'EXISTS', status, job or '', shown or ''}
end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then
  return {'FULL'}
end
local entry = redis.call('XADD', KEYS[1], '*', 'job', ARGV[3])
redis.call('HSET', KEYS[2], 'status', 'queued', 'entry', entry, 'submitted', ARGV[2], 'updated', ARGV[2],
  'job', ARGV[3], 'shown', ARGV[4], 'secret', ARGV[5])
return {'OK', 'queued'}
