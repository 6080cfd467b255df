-- Begins a life of the log. What a life before it left is put aside for the sweeper.
-- KEYS[6] lock, KEYS[7] asides. ARGV: epoch, position in front of it, the lock's token, then for
-- each name that is remembered: name, position, hash, time.
local epoch, before, token = ARGV[1], ARGV[2], ARGV[3]
if life() then return 'alive' end
if redis.call('GET', KEYS[6]) ~= token then return 'locked' end

if redis.call('EXISTS', LOG) == 1 then
  local last = redis.call('XREVRANGE', LOG, '+', '-', 'COUNT', 1)[1]
  if last then
    local old = string.match(last[1], '^(%d+)%-')
    if tonumber(old) >= tonumber(epoch) then return old end
    redis.call('RENAME', LOG, LOG .. ':' .. old)
    redis.call('HSET', KEYS[7], old, redis.call('HGET', META, 'durable') or '0')
  end
end
redis.call('DEL', LOG, NAMES, ORDER, META, DONE)
-- An empty stream.
redis.call('XGROUP', 'CREATE', LOG, 'none', '0', 'MKSTREAM')
redis.call('XGROUP', 'DESTROY', LOG, 'none')
redis.call('HSET', NAMES, '', epoch)
for at = 4, #ARGV, 4 do
  redis.call('HSET', NAMES, ARGV[at],
    ARGV[at + 1] .. ' ' .. ARGV[at + 2] .. ' ' .. ARGV[at + 3])
  redis.call('RPUSH', ORDER, ARGV[at + 3] .. ' ' .. ARGV[at])
end
redis.call('HSET', META, 'run', run(), 'epoch', epoch, 'members', epoch, 'next', '0',
  'durable', '0', 'from', '0', 'before', before, 'bytes', '0', 'at', text(now_ms()))
return 'born'
