#!lua flags=allow-oom
-- Say that I still work on these jobs. JUSTID resets the idle time and keeps the delivery count.
-- KEYS jobs, job...   ARGV group, consumer, then fence and entry of each job
local fault = foreign('stream', KEYS[1])
if fault then
  return {'UNUSABLE', fault}
end
local answers = {}
for i = 2, #KEYS do
  local fence, entry = ARGV[2 * i - 1], ARGV[2 * i]
  -- A job whose keys are not ours any more is lost; the others must not suffer by it.
  if foreign('hash', KEYS[i]) or not held(KEYS[i], ARGV[2], fence, entry) then
    answers[i - 1] = 'LOST'
  elseif redis.call('HGET', KEYS[i], 'cancel') == '1' then
    answers[i - 1] = 'CANCELLED'
  else
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, entry, 'JUSTID')
    answers[i - 1] = 'OK'
  end
end
return answers
