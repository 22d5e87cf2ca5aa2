#!lua
-- Take a job that its owner offered to me. Nobody is interrupted: it goes on until its next commit is refused, and has
-- not crashed. What it had not committed I have decoded, too.
-- KEYS jobs, job   ARGV group, consumer, entry, owner that offers it, its fence, now
local fault = foreign('stream', KEYS[1])
if fault then
  return {'UNUSABLE', fault}
end
fault = unreadable(KEYS[2])
if fault then
  return {'REFUSED', fault}
end
local status, cancel = unpack(redis.call('HMGET', KEYS[2], 'status', 'cancel'))
local next_fence = whole(ARGV[5]) and string.format('%.0f', tonumber(ARGV[5]) + 1)
local taken = next_fence and held(KEYS[2], ARGV[2], next_fence, ARGV[3]) -- asked again after a lost reply
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)
if status ~= 'running' or #pending == 0 then
  return {'LOST'}
end
if not taken then
  if not held(KEYS[2], ARGV[4], ARGV[5], ARGV[3]) or pending[1][2] ~= ARGV[4] then
    return {'LOST'}
  end
  if cancel == '1' then
    return {'CANCELLED'} -- its owner ends it
  end
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'JUSTID')
  redis.call('HINCRBY', KEYS[2], 'fence', 1)
  redis.call('HINCRBY', KEYS[2], 'deliveries', 1)
  redis.call('HSET', KEYS[2], 'owner', ARGV[2], 'updated', ARGV[6], 'at_risk', '1')
end
local fence, crashes, deliveries = unpack(redis.call('HMGET', KEYS[2], 'fence', 'crashes', 'deliveries'))
return {'OK', fence, crashes or '0', deliveries, redis.call('HMGET', KEYS[2],
  'seq', 'last_index', 'last_pts', 'last_id', 'last_captured', 'counters', 'smoother')}
