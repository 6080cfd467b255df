-- Ends the life of a log of that epoch, so that the next one who opens the room begins another.
-- KEYS[6] channel. ARGV: epoch, and for a log that is to be dropped, since it is of no use: for how
-- long nothing was said, in ms, and NUMSUB or SHARDNUMSUB. It is dropped only when all of it is in
-- the database, and no node listens.
local log = life()
if not log or log.epoch ~= ARGV[1] then return 0 end
if ARGV[2] then
  local quiet = now_ms() - tonumber(redis.call('HGET', META, 'at'))
  if log.durable < log.next or quiet < tonumber(ARGV[2]) then return 0 end
  if redis.call('PUBSUB', ARGV[3], KEYS[6])[2] > 0 then return 0 end
  redis.call('DEL', LOG, NAMES, ORDER, META, DONE)
else
  redis.call('HDEL', META, 'run')
end
return 1
