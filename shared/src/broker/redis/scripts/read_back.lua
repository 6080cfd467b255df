-- The last messages before a position. ARGV: epoch and number of the position, or nothing for the
-- end; most messages, most bytes.
local most, most_bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local log = life()
if not log then return { 'gone' } end

local stop = log.next
if ARGV[1] ~= '' then
  local of = tonumber(ARGV[1])
  if of < tonumber(log.epoch) then
    stop = 0
  elseif of == tonumber(log.epoch) then
    stop = math.min(stop, tonumber(ARGV[2]))
  end
end
local entries, bytes, more = {}, 0, false
while stop > log.from and not more do
  local part = redis.call('XREVRANGE', LOG, log.epoch .. '-' .. text(stop - 1),
    log.epoch .. '-' .. text(log.from), 'COUNT', step(log, most_bytes - bytes))
  if #part == 0 then break end
  for _, entry in ipairs(part) do
    bytes = bytes + #entry[2][2]
    if #entries > 0 and (bytes > most_bytes or #entries >= 2 * most) then
      more = true
      break
    end
    entries[#entries + 1] = entry[1]
    entries[#entries + 1] = entry[2][2]
  end
  stop = tonumber(string.match(part[#part][1], '%-(%d+)$'))
end
local after = in_front_of(log, log.from)
if more then
  after = in_front_of(log, tonumber(string.match(entries[#entries - 1], '%-(%d+)$')))
end
return { 'tail', after, entries }
