#!lua
-- The right to work on an entry that was delivered to me. The fence grows, so any earlier owner is harmless.
-- KEYS jobs, job, events, res
-- ARGV group, consumer, entry, now, expire, event when cancelled, events maxlen, job, job as shown,
--      1 where its source may hold a secret
local fault = foreign('stream', KEYS[1], KEYS[3])
if fault then
  return {'UNUSABLE', fault}
end
local mine = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)
if #mine == 0 or mine[1][2] ~= ARGV[2] then
  return {'LOST'}
end
fault = unreadable(KEYS[2]) or foreign('stream', KEYS[4])
if fault then
  return {'REFUSED', fault}
end
local status, known, cancel, owner, at_risk, held_fence, blamed =
  unpack(redis.call('HMGET', KEYS[2], 'status', 'entry', 'cancel', 'owner', 'at_risk', 'fence', 'blamed'))
if OVER[status] then
  leave(KEYS[1], ARGV[1], ARGV[3])
  return {'DUPLICATE'}
end
-- The same id written twice is one job as long as its first entry is in the queue.
if known and known ~= ARGV[3] and #redis.call('XRANGE', KEYS[1], known, known) > 0 then
  leave(KEYS[1], ARGV[1], ARGV[3])
  return {'DUPLICATE'}
end
if cancel == '1' then
  leave(KEYS[1], ARGV[1], ARGV[3])
  close(KEYS[2], KEYS[4], 'cancelled', 'cancelled', 'ended', ARGV[4], ARGV[5])
  redis.call('HDEL', KEYS[2], 'smoother', 'cancel')
  tell(KEYS[3], ARGV[7], ARGV[6])
  return {'CANCELLED'}
end
-- Left while its frames were being decoded, and not by me: a crash, until that owner says that it lives (release).
if status == 'running' and owner and owner ~= '' and owner ~= ARGV[2] and at_risk ~= '0' then
  redis.call('HINCRBY', KEYS[2], 'crashes', 1)
  redis.call('HSET', KEYS[2], 'blamed', (blamed or '') .. '<' .. owner .. '/' .. (held_fence or '') .. '>')
end
local fence = redis.call('HINCRBY', KEYS[2], 'fence', 1)
local deliveries = redis.call('HINCRBY', KEYS[2], 'deliveries', 1)
if ARGV[10] == '1' then
  redis.call('HDEL', KEYS[2], 'job') -- an earlier version kept it there
else
  redis.call('HSETNX', KEYS[2], 'job', ARGV[8])
end
redis.call('HSETNX', KEYS[2], 'shown', ARGV[9])
redis.call('HSETNX', KEYS[2], 'submitted', ARGV[4])
redis.call('HSETNX', KEYS[2], 'started', ARGV[4])
redis.call('HSET', KEYS[2], 'status', 'running', 'owner', ARGV[2], 'entry', ARGV[3], 'updated', ARGV[4], 'at_risk', '1')
local crashes = tonumber(redis.call('HGET', KEYS[2], 'crashes') or '0')
return {'OK', fence, crashes, deliveries, redis.call('HMGET', KEYS[2],
  'seq', 'last_index', 'last_pts', 'last_id', 'last_captured', 'counters', 'smoother')}
