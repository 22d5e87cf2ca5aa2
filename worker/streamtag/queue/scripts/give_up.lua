#!lua flags=allow-oom
-- End a job whose entry is not in the queue any more, so that nobody would ever run it. It becomes a dead letter: its
-- producer waits for an end, and it may be queued again.
-- KEYS jobs, job, res, events, dlq, worker
-- ARGV owner as last seen, reason, now, expire, events maxlen, dlq maxlen, job id, event, source as shown
local fault = foreign('stream', KEYS[1], KEYS[4], KEYS[5])
if fault then
  return {'UNUSABLE', fault}
end
fault = unreadable(KEYS[2]) or foreign('stream', KEYS[3])
if fault then
  return {'REFUSED', fault}
end
local status, entry, owner, deliveries =
  unpack(redis.call('HMGET', KEYS[2], 'status', 'entry', 'owner', 'deliveries'))
local queued = entry and #redis.call('XRANGE', KEYS[1], entry, entry) > 0
-- A worker that lives ends what it runs by itself, with or without an entry.
local held = status == 'running' and (owner ~= ARGV[1] or redis.call('EXISTS', KEYS[6]) == 1)
if not status or OVER[status] or queued or held then
  return {'OWNED'}
end
-- Before 7.0 a script may write when memory is short only after a write that takes none.
redis.call('HDEL', KEYS[2], 'cancel')
close(KEYS[2], KEYS[3], 'failed', ARGV[2], 'failed', ARGV[3], ARGV[4])
bury(KEYS[5], ARGV[6], ARGV[7], ARGV[2], deliveries or '0', ARGV[9], entry or '', ARGV[3])
tell(KEYS[4], ARGV[5], ARGV[8])
return {'OK'}
