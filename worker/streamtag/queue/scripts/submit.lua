#!lua
-- One job in, unless the queue is full or knows the id already.
-- KEYS jobs, job   ARGV cap, now, job, job as shown, 1 where its source may hold a secret
local fault = foreign('stream', KEYS[1])
if fault then
  return {'UNUSABLE', fault}
end
fault = unreadable(KEYS[2])
if fault then
  return {'REFUSED', fault}
end
local status, job, shown, entry = unpack(redis.call('HMGET', KEYS[2], 'status', 'job', 'shown', 'entry'))
if status then
  -- A secret one lies in the queue alone, which readers of jobs cannot see.
  for _, found in ipairs(not job and entry and redis.call('XRANGE', KEYS[1], entry, entry) or {}) do
    job = field(found, 'job')
  end
  return {'EXISTS', status, job or '', shown or ''}
end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then
  return {'FULL'}
end
entry = redis.call('XADD', KEYS[1], '*', 'job', ARGV[3])
redis.call('HSET', KEYS[2], 'status', 'queued', 'entry', entry, 'submitted', ARGV[2], 'updated', ARGV[2],
  'shown', ARGV[4])
if ARGV[5] ~= '1' then
  redis.call('HSET', KEYS[2], 'job', ARGV[3])
end
return {'OK', 'queued'}
