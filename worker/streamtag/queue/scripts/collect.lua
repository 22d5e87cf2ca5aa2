#!lua flags=allow-oom
-- Remove one thing that no job owns. Looked at once more, since it may have an owner by now.
-- KEYS jobs, job, res or thumb or pics, dlq   ARGV what (results, thumbnail, pictures, letter, pending), group, entry or letter
local fault = foreign('stream', KEYS[1], KEYS[4])
if fault then
  return {'UNUSABLE', fault}
end
local owned = redis.call('EXISTS', KEYS[2]) == 1
if ARGV[1] == 'pending' then
  owned = #redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3]) > 0
end
if owned then
  return {'OWNED'}
end
if ARGV[1] == 'results' or ARGV[1] == 'thumbnail' or ARGV[1] == 'pictures' then
  redis.call('DEL', KEYS[3])
elseif ARGV[1] == 'letter' then
  redis.call('XDEL', KEYS[4], ARGV[3])
else
  redis.call('XACK', KEYS[1], ARGV[2], ARGV[3])
end
return {'OK'}
