-- Places a batch: every check first, since nothing is taken back after the first write.
-- KEYS[6] channel. ARGV: epoch, members, speaker, batch, most names, their age in ms, longest log,
-- PUBLISH or SPUBLISH, then for each message its name (or nothing), hash and bytes.
local epoch, members, speaker, batch = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local most, age, longest = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

local log = life()
if not log then return { 'gone' } end

-- `places` tells for each message: n new, d<position> there before, r name with another body.
local function answer(first, places)
  local pending = {}
  for position in string.gmatch(places, 'd([%d%-]+)') do
    local of, number = string.match(position, '^(%d+)%-(%d+)$')
    if of == log.epoch and tonumber(number) >= log.durable then
      local entry = redis.call('XRANGE', LOG, position, position)[1]
      pending[#pending + 1] = position
      pending[#pending + 1] = entry and entry[2][2] or ''
    end
  end
  return { 'placed', first, places, pending }
end

-- Said again, since the answer was lost; or a try that comes in after a later batch, for which
-- nobody waits.
local said = redis.call('HGET', META, 'batch:' .. speaker)
if said then
  local number, first, places = string.match(said, '^(%d+) %d+ (%d+) (.*)$')
  if number == batch then return answer(first, places) end
  if tonumber(number) > tonumber(batch) then return { 'stale' } end
end

if epoch ~= log.epoch then return { 'rolled' } end
if members ~= log.members then return { 'members', log.members } end

local now = now_ms()
local first, next = log.next, log.next
local places, fresh, new = {}, {}, {}
for at = 9, #ARGV, 3 do
  local name, hash = ARGV[at], ARGV[at + 1]
  local position, body = nil, nil
  if name ~= '' then
    if fresh[name] then
      position, body = fresh[name][1], fresh[name][2]
    else
      local known = redis.call('HGET', NAMES, name)
      if known then
        local where, what, when = string.match(known, '^(%S+) (%S+) (%S+)$')
        if tonumber(when) + age >= now then position, body = where, what end
      end
    end
  end
  if not position then
    new[#new + 1] = at
    if name ~= '' then fresh[name] = { epoch .. '-' .. text(next), hash } end
    next = next + 1
    places[#places + 1] = 'n'
  elseif body == hash then
    places[#places + 1] = 'd' .. position
  else
    places[#places + 1] = 'r'
  end
end
places = table.concat(places, ' ')
if #new == 0 then return answer(text(first), places) end

local message = { 'P ' .. epoch .. ' ' .. text(first) .. ' ' .. in_front_of(log, first) .. '\n' }
for index, at in ipairs(new) do
  local position = epoch .. '-' .. text(first + index - 1)
  local name, hash, bytes = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  -- Only the first could be refused: a log with a later end is not the one of `next`.
  local done = redis.pcall('XADD', LOG, position, 'e', bytes)
  if done.err then
    if not string.find(done.err, 'equal or smaller') then return done end
    redis.call('HDEL', META, 'run')
    return { 'gone' }
  end
  if name ~= '' then
    redis.call('HSET', NAMES, name, position .. ' ' .. hash .. ' ' .. text(now))
    redis.call('RPUSH', ORDER, text(now) .. ' ' .. name)
  end
  log.bytes = log.bytes + #bytes
  message[#message + 1] = struct.pack('>I4', #bytes)
  message[#message + 1] = bytes
end
log.next = next
local mine = batch .. ' ' .. text(now) .. ' ' .. text(first) .. ' ' .. places
redis.call('HSET', META, 'next', text(next), 'bytes', text(log.bytes), 'at', text(now))
local is_new = redis.call('HSET', META, 'batch:' .. speaker, mine)
-- Speakers come and go. No try takes an hour to come in.
if is_new > 0 and redis.call('HLEN', META) > 64 then
  local fields = redis.call('HGETALL', META)
  for at = 1, #fields, 2 do
    local when = string.match(fields[at + 1], '^%d+ (%d+) ')
    if string.sub(fields[at], 1, 6) == 'batch:' and tonumber(when) + 3600000 < now then
      redis.call('HDEL', META, fields[at])
    end
  end
end

-- Names that are too old or too many, a few more than came.
for _ = 1, #new + 16 do
  local oldest = redis.call('LINDEX', ORDER, 0)
  if not oldest then break end
  local when, name = string.match(oldest, '^(%d+) (.*)$')
  if redis.call('LLEN', ORDER) <= most and tonumber(when) + age >= now then break end
  redis.call('LPOP', ORDER)
  local known = redis.call('HGET', NAMES, name)
  -- Said again after it was too old, it has a younger place in the order.
  if known and string.match(known, '(%S+)$') == when then redis.call('HDEL', NAMES, name) end
end

-- A log is bounded also while the database is away.
if log.next - log.from > longest then trim(log, log.next - longest, 0, math.huge) end

redis.call(ARGV[8], KEYS[6], table.concat(message))
return answer(text(first), places)
