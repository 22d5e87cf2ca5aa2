#!lua
-- Remove a consumer that has nothing pending: with something pending, its entries could never be claimed again.
-- KEYS jobs   ARGV group, consumer
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if #pending > 0 then
  return {'BUSY'}
end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return {'OK'}
