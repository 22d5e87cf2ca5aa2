#!lua
-- Hand a job back for immediate pick-up: idle past the lease, and this attempt does not count against it.
-- KEYS jobs, job   ARGV group, consumer, entry, fence, idle ms, now
if redis.call('HGET', KEYS[2], 'fence') ~= ARGV[4] then
  return {'FENCED'}
end
if tonumber(redis.call('HGET', KEYS[2], 'attempts') or '0') > 0 then
  redis.call('HINCRBY', KEYS[2], 'attempts', -1)
end
redis.call('HSET', KEYS[2], 'status', 'queued', 'owner', '', 'updated', ARGV[6])
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'IDLE', ARGV[5], 'JUSTID')
return {'OK'}
