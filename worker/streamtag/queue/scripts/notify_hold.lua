#!lua flags=allow-oom
-- One runner tells events: take its lease, keep it, or with 0 leave it to the next.
-- KEYS lease   ARGV runner, milliseconds it is good for
local fault = foreign('string', KEYS[1])
if fault then
  return {'UNUSABLE', fault}
end
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return {'HELD', holder}
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return {'OK'}
end
-- Before 7.0 a script may write when memory is short only after a write that takes none.
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'OK'}
