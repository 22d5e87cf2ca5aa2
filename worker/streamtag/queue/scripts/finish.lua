#!lua
-- The end of a job, by its owner.
-- KEYS jobs, job, res, events   ARGV group, entry, fence, status, reason, now, expire, event, events maxlen, state
if redis.call('HGET', KEYS[2], 'fence') ~= ARGV[3] then
  return {'FENCED'}
end
-- Asked again after a lost reply: it has ended already.
local status = redis.call('HGET', KEYS[2], 'status')
if status == 'done' or status == 'failed' or status == 'cancelled' then
  return {'OK'}
end
redis.call('HSET', KEYS[2], 'status', ARGV[4], 'reason', ARGV[5], 'finished', ARGV[6], 'updated', ARGV[6], 'state', ARGV[10])
redis.call('HDEL', KEYS[2], 'smoother', 'cancel')
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[9], '*', 'event', ARGV[8])
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[7])
redis.call('EXPIRE', KEYS[3], ARGV[7])
return {'OK'}
