#!lua flags=no-writes
-- Where a sink stands, and the events after it; in one step, so that what was trimmed before them can be told.
-- KEYS events, sink   ARGV how many events
local fault = foreign('stream', KEYS[1]) or foreign('hash', KEYS[2])
if fault then
  return {'UNUSABLE', fault}
end
local position, place = unpack(redis.call('HMGET', KEYS[2], 'position', 'place'))
if position and not is_id(position) then
  return {'UNUSABLE', 'field position of ' .. KEYS[2] .. ' is no entry id: ' .. string.sub(position, 1, 40)}
end
if place and place ~= '' and not whole(place) then
  return {'UNUSABLE', 'field place of ' .. KEYS[2] .. ' is no whole number: ' .. string.sub(place, 1, 40)}
end
local length, last, added = 0, '0-0', ''
if kind(KEYS[1]) == 'stream' then
  local about = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #about, 2 do
    if about[i] == 'length' then
      length = about[i + 1]
    elseif about[i] == 'last-generated-id' then
      last = about[i + 1]
    elseif about[i] == 'entries-added' then -- since 7.0
      added = about[i + 1]
    end
  end
end
if not position then
  return {'NEW', last, tostring(added)}
end
local there = #redis.call('XRANGE', KEYS[1], position, position, 'COUNT', 1)
local entries = redis.call('XRANGE', KEYS[1], '(' .. position, '+', 'COUNT', ARGV[1])
return {'OK', position, place or '', length, tostring(added), last, there, entries}
