#!lua
-- Publish and checkpoint stand or fall together.
-- KEYS jobs, job, res, events
-- ARGV group, consumer, entry, fence, expected seq, now, results maxlen ('' keeps all), events maxlen,
--      last_index, last_pts, last_id, last_captured, counters, smoother, state, progress, reason, at risk,
--      number of results, (id, payload)..., number of events, payload..., lag ('' leaves it), active labels,
--      oldest result id ('' keeps all)
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
local status, seq, cancel = unpack(redis.call('HMGET', KEYS[2], 'status', 'seq', 'cancel'))
if status ~= 'running' then
  return {'FENCED'}
end
if (seq or '0') ~= ARGV[5] then
  return {'SEQ', seq or '0'}
end
if cancel == '1' then
  return {'CANCELLED'}
end
-- Both halves of an id go up to 2^64 - 1, which no Lua number holds: they are compared as digits.
local MOST = '18446744073709551615'
local function less(a, b)
  return #a < #b or (#a == #b and a < b)
end
local function parts(id)
  return string.match(id, '^0*(%d+)%-0*(%d+)$')
end
local count = tonumber(ARGV[19])
for i = 20, 18 + 2 * count, 2 do
  local ms, n = parts(ARGV[i])
  if not ms or less(MOST, ms) or less(MOST, n) then
    return {'REFUSED', 'result id ' .. string.sub(ARGV[i], 1, 60) .. ' is beyond what Redis takes'}
  end
end
local top_ms, top_n = '0', '0'
if kind(KEYS[3]) == 'stream' then
  local about = redis.call('XINFO', 'STREAM', KEYS[3])
  for i = 1, #about, 2 do
    if about[i] == 'last-generated-id' then
      top_ms, top_n = parts(about[i + 1])
    end
  end
end
local at = 20
for _ = 1, count do
  local ms, n = parts(ARGV[at])
  -- A replayed sample has the id it had before: it is there already.
  if less(top_ms, ms) or (top_ms == ms and less(top_n, n)) then
    if ARGV[7] == '' then
      redis.call('XADD', KEYS[3], ARGV[at], 'result', ARGV[at + 1])
    else
      redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[7], ARGV[at], 'result', ARGV[at + 1])
    end
    top_ms, top_n = ms, n
  end
  at = at + 2
end
if ARGV[#ARGV] ~= '' and top_ms ~= '0' then
  redis.call('XTRIM', KEYS[3], 'MINID', '~', ARGV[#ARGV])
end
for i = at + 1, at + tonumber(ARGV[at]) do
  tell(KEYS[4], ARGV[8], ARGV[i])
end
local next_seq = tonumber(ARGV[5]) + 1
redis.call('HSET', KEYS[2], 'seq', next_seq, 'updated', ARGV[6], 'last_index', ARGV[9], 'last_pts', ARGV[10],
  'last_id', ARGV[11], 'last_captured', ARGV[12], 'counters', ARGV[13], 'smoother', ARGV[14],
  'state', ARGV[15], 'progress', ARGV[16], 'reason', ARGV[17], 'at_risk', ARGV[18], 'active', ARGV[#ARGV - 1])
if ARGV[#ARGV - 2] ~= '' then
  redis.call('HSET', KEYS[2], 'lag', ARGV[#ARGV - 2])
end
if count > 0 then
  -- Healthy progress: earlier crashes no longer count against the job.
  redis.call('HSET', KEYS[2], 'crashes', 0, 'blamed', '')
end
-- Without its group the queue has no lease to renew; the claims thread makes it anew.
redis.pcall('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'JUSTID')
return {'OK', next_seq}
