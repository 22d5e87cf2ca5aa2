#!lua flags=allow-oom
-- A sink has heard, passed over or given up the events up to here. Only for the runner that holds the lease.
-- KEYS lease, sink, dead letters   ARGV runner, position, place, delivered, lost, trouble, now,
--   then of a dead letter: how many are kept, name of the sink, event, reason, tries
local fault = foreign('string', KEYS[1]) or foreign('hash', KEYS[2]) or foreign('stream', KEYS[3])
if fault then
  return {'UNUSABLE', fault}
end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return {'LOST'}
end
local names = {'delivered', 'lost', 'dead'}
for i, value in ipairs(redis.call('HMGET', KEYS[2], unpack(names))) do
  if value and not whole(value) then
    return {'UNUSABLE', 'field ' .. names[i] .. ' of ' .. KEYS[2] .. ' is no whole number: ' .. string.sub(value, 1, 40)}
  end
end
-- Before 7.0 a script may write when memory is short only after a write that takes none.
redis.call('XDEL', KEYS[3], '0-1')
if ARGV[8] then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[8], '*', 'sink', ARGV[9], 'event', ARGV[10], 'reason', ARGV[11],
    'tries', ARGV[12], 'entry', ARGV[2], 'at', ARGV[7])
  redis.call('HINCRBY', KEYS[2], 'dead', 1)
end
redis.call('HSET', KEYS[2], 'position', ARGV[2], 'place', ARGV[3], 'trouble', ARGV[6], 'updated', ARGV[7])
redis.call('HINCRBY', KEYS[2], 'delivered', ARGV[4])
redis.call('HINCRBY', KEYS[2], 'lost', ARGV[5])
return {'OK'}
