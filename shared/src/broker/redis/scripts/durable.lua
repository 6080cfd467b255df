-- Numbers that are in the database. KEYS[6] channel of the room for inboxes. ARGV: epoch, messages and
-- bytes to keep, PUBLISH or SPUBLISH, what inboxes are told (nothing: they are not), then for each:
-- number, and whether it is shown (1) or a mark (0).
-- It is in the database whatever became of the log.
if ARGV[5] ~= '' then redis.call(ARGV[4], KEYS[6], ARGV[5]) end
local log = life()
if not log or log.epoch ~= ARGV[1] then return 0 end
local durable = log.durable
for at = 6, #ARGV, 2 do
  local number = tonumber(ARGV[at])
  if ARGV[at + 1] == '0' and number >= log.from then
    local position = log.epoch .. '-' .. ARGV[at]
    local mark = redis.call('XRANGE', LOG, position, position)[1]
    if mark then
      log.bytes = log.bytes - #mark[2][2]
      redis.call('XDEL', LOG, position)
      redis.call('HSET', META, 'bytes', text(log.bytes))
    end
  end
  if number == durable then
    durable = durable + 1
  elseif number > durable then
    redis.call('SADD', DONE, ARGV[at])
  end
end
if durable > log.durable then
  while redis.call('SREM', DONE, text(durable)) == 1 do durable = durable + 1 end
  redis.call('HSET', META, 'durable', text(durable))
  -- A log that was cut while the database was away goes on in front of the mark.
  if log.from < durable then trim(log, durable, tonumber(ARGV[2]), tonumber(ARGV[3])) end
end
return durable
