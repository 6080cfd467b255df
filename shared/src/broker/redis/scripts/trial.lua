-- Tries, on keys of nobody, every command that programs and scripts use, and takes the keys away.
-- KEYS[6], KEYS[7] more keys, KEYS[8] channel. ARGV: PUBLISH or SPUBLISH, NUMSUB or SHARDNUMSUB.
-- Answers what was refused, and why.
local refused = { 'tried' }
local function try(...)
  local done = redis.pcall(...)
  if type(done) == 'table' and done.err then
    refused[#refused + 1] = select(1, ...) .. ': ' .. done.err
  end
end
local log, names, order, meta, done, lock, spare = unpack(KEYS)
try('TIME')
try('INFO', 'server')
try('EXISTS', log)
try('XGROUP', 'CREATE', log, 'none', '0', 'MKSTREAM')
try('XADD', log, '1-1', 'e', '')
try('XRANGE', log, '-', '+', 'COUNT', 1)
try('XREVRANGE', log, '+', '-', 'COUNT', 1)
try('XDEL', log, '1-0')
try('XTRIM', log, 'MINID', '1-0')
try('RENAME', log, spare)
try('HSET', names, 'a', '1')
try('HINCRBY', names, 'a', 1)
try('HGET', names, 'a')
try('HMGET', names, 'a')
try('HEXISTS', names, 'a')
try('HGETALL', names)
try('HLEN', names)
try('HDEL', names, 'a')
try('RPUSH', order, 'a')
try('LINDEX', order, 0)
try('LLEN', order)
try('LPOP', order)
try('SADD', done, '1')
try('SISMEMBER', done, '1')
try('SMEMBERS', done)
try('SSCAN', done, 0)
try('SREM', done, '1')
try('ZADD', meta, 1, 'a')
try('ZRANGE', meta, 0, -1)
try('ZREMRANGEBYSCORE', meta, 0, 1)
try('SET', lock, 'a', 'NX', 'PX', 1000)
try('GET', lock)
try('PEXPIRE', lock, 1000)
try('PUBSUB', ARGV[2], KEYS[8])
try(ARGV[1], KEYS[8], '')
try('DEL', unpack(KEYS, 1, 7))
return refused
