#!lua flags=allow-oom
-- A job that can never succeed, or an entry that is no job: out of the queue, with its reason among the dead letters.
-- This is the last resort, so it ends the entry whatever the job's own keys look like.
-- KEYS jobs, job, res, events, dlq
-- ARGV group, consumer, entry, fence ('' where it was never acquired), reason, now, expire, events maxlen, dlq maxlen,
--      job id, event, source as shown, event under the entry's id
local fault = foreign('stream', KEYS[1], KEYS[4], KEYS[5])
if fault then
  return {'UNUSABLE', fault}
end
local ours = not foreign('hash', KEYS[2])
local status, known
if ours then
  status, known = unpack(redis.call('HMGET', KEYS[2], 'status', 'entry'))
end
if ours and ARGV[4] ~= '' then
  if not held(KEYS[2], ARGV[2], ARGV[4], ARGV[3]) then
    return {'FENCED'}
  end
  -- Asked again after a lost reply: it is over already.
  if OVER[status] then
    return {'OK'}
  end
else
  local mine = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)
  if #mine == 0 or mine[1][2] ~= ARGV[2] then
    return {'LOST'}
  end
  -- The id may be that of another job, which must not suffer by what was written under its name.
  local other = known and known ~= ARGV[3] and is_id(known) and #redis.call('XRANGE', KEYS[1], known, known) > 0
  if other or OVER[status] then
    ours = false
    ARGV[10], ARGV[11] = ARGV[3], ARGV[13]
  end
end
local deliveries = ours and redis.call('HGET', KEYS[2], 'deliveries') or '1'
deliveries = whole(deliveries) and deliveries or '1'
leave(KEYS[1], ARGV[1], ARGV[3])
if ours then
  redis.call('HDEL', KEYS[2], 'cancel')
  redis.call('HSET', KEYS[2], 'entry', ARGV[3])
  close(KEYS[2], KEYS[3], 'failed', ARGV[5], 'failed', ARGV[6], ARGV[7])
end
bury(KEYS[5], ARGV[9], ARGV[10], ARGV[5], deliveries, ARGV[12], ARGV[3], ARGV[6])
tell(KEYS[4], ARGV[8], ARGV[11])
return {'OK'}
