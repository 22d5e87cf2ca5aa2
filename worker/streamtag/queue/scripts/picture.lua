#!lua
-- The newest picture of a job and those of its album, by its owner. Results do without: what is refused is not sent again.
-- KEYS job, thumb, pics
-- ARGV consumer, fence, entry, expire, at ('' for no new thumb), pts, region, jpeg, album maxlen,
--      number of entries that go, id..., then for each that comes: kind, at, pts, region, label, jpeg
local fault = unreadable(KEYS[1]) or foreign('hash', KEYS[2]) or foreign('stream', KEYS[3])
if fault then
  return {'REFUSED', fault}
end
if not held(KEYS[1], ARGV[1], ARGV[2], ARGV[3]) then
  return {'FENCED'}
end
-- The last ones come after the end of the job, which may be over but must not have another owner.
local status, before = unpack(redis.call('HMGET', KEYS[1], 'status', 'thumb'))
if status ~= 'running' and not OVER[status] then
  return {'FENCED'}
end
if ARGV[5] ~= '' then
  -- First what takes memory: before 7.0 a script that has written may go on when memory is short.
  redis.call('HSET', KEYS[1], 'thumb', ARGV[5])
  if not before then
    redis.call('DEL', KEYS[2], KEYS[3]) -- of an earlier job of this id
  end
  redis.call('HSET', KEYS[2], 'jpeg', ARGV[8], 'at', ARGV[5], 'pts_s', ARGV[6], 'region', ARGV[7])
end
local gone = tonumber(ARGV[10])
local ids = {'OK'}
for at = 11 + gone, #ARGV - 5, 6 do
  local kind, at_s, pts_s, region, label, jpeg = unpack(ARGV, at, at + 5)
  ids[#ids + 1] = redis.call('XADD', KEYS[3], '*', 'kind', kind, 'at', at_s, 'pts_s', pts_s,
    'region', region, 'label', label, 'jpeg', jpeg)
end
if gone > 0 then
  redis.call('XDEL', KEYS[3], unpack(ARGV, 11, 10 + gone))
end
-- After what goes by name, or others that are to stay would go for it.
redis.call('XTRIM', KEYS[3], 'MAXLEN', ARGV[9])
-- They go when the results do: renewed with each picture, a job that is deleted by hand leaves none for ever.
redis.call('EXPIRE', KEYS[2], ARGV[4])
redis.call('EXPIRE', KEYS[3], ARGV[4])
return ids
