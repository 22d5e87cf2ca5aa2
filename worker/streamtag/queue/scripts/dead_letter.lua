#!lua
-- A job that can never succeed, or an entry that is no job at all: aside with its reason.
-- KEYS jobs, job, res, events, dlq
-- ARGV group, consumer, entry, fence ('' for an entry that is no job), reason, now, expire, events maxlen,
--      dlq maxlen, event, job id, deliveries, redacted source
local known = ARGV[4] ~= ''
if known and redis.call('HGET', KEYS[2], 'fence') ~= ARGV[4] then
  return {'FENCED'}
end
-- Asked again after a lost reply: it is aside already.
if known and redis.call('HGET', KEYS[2], 'status') == 'failed' then
  return {'OK'}
end
local mine = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)
if not known and (#mine == 0 or mine[1][2] ~= ARGV[2]) then
  return {'LOST'}
end
redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[9], '*', 'job_id', ARGV[11], 'reason', ARGV[5],
  'deliveries', ARGV[12], 'source', ARGV[13], 'entry', ARGV[3], 'at', ARGV[6])
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[8], '*', 'event', ARGV[10])
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
redis.call('XDEL', KEYS[1], ARGV[3])
if known then
  redis.call('HSET', KEYS[2], 'status', 'failed', 'reason', ARGV[5], 'state', 'failed', 'finished', ARGV[6], 'updated', ARGV[6])
  redis.call('EXPIRE', KEYS[2], ARGV[7])
  redis.call('EXPIRE', KEYS[3], ARGV[7])
end
return {'OK'}
