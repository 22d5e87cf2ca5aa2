#!lua flags=allow-oom
-- A waiting job ends at once; a running one is told at its owner's next commit or renewal.
-- KEYS jobs, job, res, events   ARGV group, now, expire, event, events maxlen, reason
local fault = foreign('stream', KEYS[1], KEYS[4])
if fault then
  return {'UNUSABLE', fault}
end
fault = unreadable(KEYS[2]) or foreign('stream', KEYS[3])
if fault then
  return {'REFUSED', fault}
end
local status, entry = unpack(redis.call('HMGET', KEYS[2], 'status', 'entry'))
if not status then
  return {'UNKNOWN'}
end
if OVER[status] then
  return {'OVER', status}
end
-- Before 7.0 a script may write when memory is short only after a write that takes none.
redis.call('HDEL', KEYS[2], 'cancel')
if status == 'running' then
  redis.call('HSET', KEYS[2], 'cancel', '1')
  return {'OK', 'running'}
end
-- Between delivery and acquire an entry is pending although its job is still queued: acquire sees the status.
if entry and kind(KEYS[1]) == 'stream' then
  leave(KEYS[1], ARGV[1], entry)
end
redis.call('HDEL', KEYS[2], 'smoother')
close(KEYS[2], KEYS[3], 'cancelled', ARGV[6], 'ended', ARGV[2], ARGV[3])
tell(KEYS[4], ARGV[5], ARGV[4])
return {'OK', 'cancelled'}
