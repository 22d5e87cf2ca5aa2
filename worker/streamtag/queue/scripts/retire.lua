#!lua flags=allow-oom
-- Remove consumers whose worker is gone: no heartbeat, and nothing pending, for what is pending to a consumer that
-- was removed can never be claimed again.
-- KEYS jobs, worker...   ARGV group, consumer...
local fault = foreign('stream', KEYS[1])
if fault then
  return {'UNUSABLE', fault}
end
local retired = {'OK'}
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 and #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[i]) == 0 then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[i])
    retired[#retired + 1] = ARGV[i]
  end
end
return retired
