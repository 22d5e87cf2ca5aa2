#!lua flags=allow-oom
-- Hand a job back for immediate pick-up: idle past the lease. From an owner that has lost it by now, only the word
-- that it lives: what was counted as its crash was none.
-- KEYS jobs, job   ARGV group, consumer, entry, fence, idle ms, now
local fault = foreign('stream', KEYS[1])
if fault then
  return {'UNUSABLE', fault}
end
fault = unreadable(KEYS[2])
if fault then
  return {'REFUSED', fault}
end
local status, blamed, crashes = unpack(redis.call('HMGET', KEYS[2], 'status', 'blamed', 'crashes'))
if status == 'queued' and held(KEYS[2], '', ARGV[4], ARGV[3]) then
  return {'OK'} -- asked again after a lost reply
end
if status ~= 'running' or not held(KEYS[2], ARGV[2], ARGV[4], ARGV[3]) then
  local first, last = string.find(blamed or '', '<' .. ARGV[2] .. '/' .. ARGV[4] .. '>', 1, true)
  if first and (crashes or '0') ~= '0' then
    redis.call('HINCRBY', KEYS[2], 'crashes', -1)
    redis.call('HSET', KEYS[2], 'blamed', string.sub(blamed, 1, first - 1) .. string.sub(blamed, last + 1))
  end
  return {'FENCED'}
end
redis.pcall('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'IDLE', ARGV[5], 'JUSTID')
redis.call('HSET', KEYS[2], 'status', 'queued', 'owner', '', 'updated', ARGV[6])
return {'OK'}
