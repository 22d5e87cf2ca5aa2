#!lua
-- Publish and checkpoint stand or fall together. Everything is checked before the first write.
-- KEYS jobs, job, res, events
-- ARGV group, consumer, entry, fence, expected seq, now, results maxlen, events maxlen,
--      last_index, last_pts, last_id, last_captured, counters, smoother, state, progress, reason,
--      number of results, (id, payload)..., number of events, payload..., active labels
local fence, seq, cancel = unpack(redis.call('HMGET', KEYS[2], 'fence', 'seq', 'cancel'))
if fence ~= ARGV[4] then
  return {'FENCED'}
end
if (seq or '0') ~= ARGV[5] then
  return {'SEQ', seq or '0'}
end
if cancel == '1' then
  return {'CANCELLED'}
end
local function parts(id)
  local ms, n = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(n)
end
local top_ms, top_n = 0, 0
local newest = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
if #newest > 0 then
  top_ms, top_n = parts(newest[1][1])
end
local results = tonumber(ARGV[18])
local at = 19
for _ = 1, results do
  local ms, n = parts(ARGV[at])
  -- A replayed sample has the id it had before: it is there already.
  if ms > top_ms or (ms == top_ms and n > top_n) then
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[7], ARGV[at], 'result', ARGV[at + 1])
  end
  at = at + 2
end
for i = at + 1, at + tonumber(ARGV[at]) do
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[8], '*', 'event', ARGV[i])
end
local next_seq = tonumber(ARGV[5]) + 1
redis.call('HSET', KEYS[2], 'seq', next_seq, 'updated', ARGV[6], 'last_index', ARGV[9], 'last_pts', ARGV[10],
  'last_id', ARGV[11], 'last_captured', ARGV[12], 'counters', ARGV[13], 'smoother', ARGV[14],
  'state', ARGV[15], 'progress', ARGV[16], 'reason', ARGV[17], 'active', ARGV[#ARGV])
if results > 0 then
  -- Healthy progress: earlier crashes no longer count against the job.
  redis.call('HSET', KEYS[2], 'attempts', 0)
end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'JUSTID')
return {'OK', next_seq}
