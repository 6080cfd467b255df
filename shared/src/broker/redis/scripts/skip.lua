-- Numbers that the log was cut in front of, while the database was away, are in the database or
-- never will be. ARGV: epoch, and the number to go on with.
local log = life()
local on = tonumber(ARGV[2])
if not log or log.epoch ~= ARGV[1] or log.durable >= on then return 0 end
for _, number in ipairs(redis.call('SMEMBERS', DONE)) do
  if tonumber(number) < on then redis.call('SREM', DONE, number) end
end
while redis.call('SREM', DONE, text(on)) == 1 do on = on + 1 end
redis.call('HSET', META, 'durable', text(on))
return 1
