#!lua flags=allow-oom
-- The end of a job, by its owner. Allowed when memory is short: it frees some.
-- KEYS jobs, job, res, events
-- ARGV group, consumer, entry, fence, status, reason, now, expire, event, events maxlen, state
local fault = foreign('stream', KEYS[1], KEYS[4])
if fault then
  return {'UNUSABLE', fault}
end
fault = unreadable(KEYS[2]) or foreign('stream', KEYS[3])
if fault then
  return {'REFUSED', fault}
end
if not held(KEYS[2], ARGV[2], ARGV[4], ARGV[3]) then
  return {'FENCED'}
end
-- Asked again after a lost reply: it has ended already.
if OVER[redis.call('HGET', KEYS[2], 'status')] then
  return {'OK'}
end
leave(KEYS[1], ARGV[1], ARGV[3])
redis.call('HDEL', KEYS[2], 'smoother', 'cancel')
close(KEYS[2], KEYS[3], ARGV[5], ARGV[6], ARGV[11], ARGV[7], ARGV[8])
tell(KEYS[4], ARGV[10], ARGV[9])
return {'OK'}
