#!lua
-- The right to work on an entry that was delivered to me. The fence grows, so any earlier owner is harmless.
-- KEYS jobs, job, events, res
-- ARGV group, consumer, entry, now, job, event when cancelled, events maxlen, expire
local mine = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)
if #mine == 0 or mine[1][2] ~= ARGV[2] then
  return {'LOST'}
end
local status, known, cancel = unpack(redis.call('HMGET', KEYS[2], 'status', 'entry', 'cancel'))
local function leave()
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
  redis.call('XDEL', KEYS[1], ARGV[3])
end
if status == 'done' or status == 'failed' or status == 'cancelled' then
  leave()
  return {'DUPLICATE'}
end
-- The same id written twice is one job as long as its first entry is in the queue.
if known and known ~= ARGV[3] and #redis.call('XRANGE', KEYS[1], known, known) > 0 then
  leave()
  return {'DUPLICATE'}
end
if cancel == '1' then
  leave()
  redis.call('HSET', KEYS[2], 'status', 'cancelled', 'reason', 'cancelled', 'finished', ARGV[4], 'updated', ARGV[4])
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[7], '*', 'event', ARGV[6])
  redis.call('EXPIRE', KEYS[2], ARGV[8])
  redis.call('EXPIRE', KEYS[4], ARGV[8])
  return {'CANCELLED'}
end
local fence = redis.call('HINCRBY', KEYS[2], 'fence', 1)
local attempts = redis.call('HINCRBY', KEYS[2], 'attempts', 1)
redis.call('HINCRBY', KEYS[2], 'deliveries', 1)
redis.call('HSETNX', KEYS[2], 'job', ARGV[5])
redis.call('HSETNX', KEYS[2], 'submitted', ARGV[4])
redis.call('HSETNX', KEYS[2], 'started', ARGV[4])
redis.call('HSET', KEYS[2], 'status', 'running', 'owner', ARGV[2], 'entry', ARGV[3], 'updated', ARGV[4])
local checkpoint = redis.call('HMGET', KEYS[2], 'seq', 'last_index', 'last_pts', 'last_id', 'last_captured', 'counters', 'smoother')
return {'OK', fence, attempts, checkpoint}
