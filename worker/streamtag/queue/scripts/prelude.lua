-- Put before every script. An answer is a list whose first item is a word; two of them are the same everywhere:
-- REFUSED what: a key or field of this one job is not as we leave it, and will not be tomorrow.
-- UNUSABLE what: a key of the whole queue is not ours.
-- Everything is looked at before the first write, since a script that fails half-way does not roll back.
local function kind(key)
  return redis.call('TYPE', key).ok
end
local function foreign(wanted, ...)
  for _, key in ipairs({...}) do
    local found = kind(key)
    if found ~= 'none' and found ~= wanted then
      return key .. ' is a ' .. found .. ' and not a ' .. wanted
    end
  end
end
-- Up to 15 digits are exact in a Lua number and in a Redis integer.
local function whole(text)
  return #text <= 15 and string.match(text, '^%d+$')
end
local function is_id(text)
  return #text <= 41 and string.match(text, '^%d+%-%d+$')
end
local OVER = {done = true, failed = true, cancelled = true}
-- What is wrong with a job's hash, if anything is.
local function unreadable(job)
  local fault = foreign('hash', job)
  if fault then
    return fault
  end
  local names = {'fence', 'seq', 'crashes', 'deliveries'}
  for i, value in ipairs(redis.call('HMGET', job, unpack(names))) do
    if value and not whole(value) then
      return 'field ' .. names[i] .. ' of ' .. job .. ' is no whole number: ' .. string.sub(value, 1, 40)
    end
  end
  local status, entry = unpack(redis.call('HMGET', job, 'status', 'entry'))
  if status and not (OVER[status] or status == 'queued' or status == 'running') then
    return 'field status of ' .. job .. ' is no status: ' .. string.sub(status, 1, 40)
  end
  if entry and not is_id(entry) then
    return 'field entry of ' .. job .. ' is no entry id: ' .. string.sub(entry, 1, 40)
  end
end
-- Owner and fence together: a fence alone can repeat after a failover that lost an acquire. The entry too: an id that
-- is submitted again after its job has expired begins with the first fence anew. What is no entry id is nobody's.
local function held(job, owner, fence, entry)
  local now_owner, now_fence, now_entry = unpack(redis.call('HMGET', job, 'owner', 'fence', 'entry'))
  return now_owner == owner and now_fence == fence and (now_entry == entry or not is_id(now_entry or ''))
end
-- The last writes about a job. What was submitted goes; a failed job keeps it, so that its dead letter can be queued
-- again as it stands. One whose source may hold a secret was in the queue alone and is gone with its entry.
local function close(job, results, status, reason, state, now, expire)
  if status ~= 'failed' then
    redis.call('HDEL', job, 'job')
  end
  redis.call('HSET', job, 'status', status, 'reason', reason, 'state', state, 'finished', now, 'updated', now)
  redis.call('HSETNX', job, 'submitted', now)
  redis.call('EXPIRE', job, expire)
  if kind(results) == 'stream' then
    redis.call('EXPIRE', results, expire)
  end
end
-- A field of an entry as XRANGE tells it.
local function field(entry, name)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == name then
      return entry[2][i + 1]
    end
  end
end
local function leave(jobs, group, entry)
  redis.call('XACK', jobs, group, entry)
  redis.call('XDEL', jobs, entry)
end
local function tell(events, maxlen, event)
  redis.call('XADD', events, 'MAXLEN', '~', maxlen, '*', 'event', event)
end
local function bury(dlq, maxlen, job_id, reason, deliveries, source, entry, now)
  redis.call('XADD', dlq, 'MAXLEN', '~', maxlen, '*', 'job_id', job_id, 'reason', reason,
    'deliveries', deliveries, 'source', source, 'entry', entry, 'at', now)
end
