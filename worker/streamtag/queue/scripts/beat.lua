#!lua flags=allow-oom
-- A worker says that it is there, also when memory is short: that is when people look.
-- KEYS worker   ARGV what it says of itself, milliseconds it is good for
-- Before 7.0 a script may write when memory is short only after a write that takes none.
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'OK'}
