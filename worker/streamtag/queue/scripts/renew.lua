#!lua
-- Say that I still work on these jobs. JUSTID resets the idle time and keeps the delivery count.
-- KEYS jobs, job...   ARGV group, consumer, then fence and entry of each job
local answers = {}
for i = 2, #KEYS do
  local fence, entry = ARGV[2 * i - 1], ARGV[2 * i]
  local held, owner, cancel = unpack(redis.call('HMGET', KEYS[i], 'fence', 'owner', 'cancel'))
  if held ~= fence or owner ~= ARGV[2] then
    answers[i - 1] = 'LOST'
  elseif cancel == '1' then
    answers[i - 1] = 'CANCELLED'
  else
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, entry, 'JUSTID')
    answers[i - 1] = 'OK'
  end
end
return answers
