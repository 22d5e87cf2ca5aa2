#!lua
-- A waiting job ends at once; a running one is told at its owner's next commit or renewal.
-- KEYS jobs, job, res, events   ARGV group, now, expire, event, events maxlen
local status, entry, owner = unpack(redis.call('HMGET', KEYS[2], 'status', 'entry', 'owner'))
if not status then
  return {'UNKNOWN'}
end
if status == 'done' or status == 'failed' or status == 'cancelled' then
  return {'OVER', status}
end
if status == 'running' then
  redis.call('HSET', KEYS[2], 'cancel', '1')
  return {'OK', 'running'}
end
-- Between delivery and acquire an entry is pending although its job is still queued: acquire sees the status.
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.pcall('XACK', KEYS[1], ARGV[1], entry)
  redis.call('XDEL', KEYS[1], entry)
end
redis.call('HSET', KEYS[2], 'status', 'cancelled', 'reason', 'cancelled before it ran', 'finished', ARGV[2], 'updated', ARGV[2])
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[5], '*', 'event', ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[3])
redis.call('EXPIRE', KEYS[3], ARGV[3])
return {'OK', 'cancelled'}
