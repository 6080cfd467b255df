-- Messages after a position. ARGV: epoch and number of the position, most bytes, most messages.
local of, number = tonumber(ARGV[1]), tonumber(ARGV[2])
local most_bytes, most = tonumber(ARGV[3]), tonumber(ARGV[4])
local log = life()
if not log then return { 'gone' } end

local start = nil
if of > tonumber(log.epoch) then
  start = log.next
elseif of == tonumber(log.epoch) then
  start = number + 1
else
  local before_of, before = string.match(log.before, '^(%d+)%-(%d+)$')
  before_of, before = tonumber(before_of), tonumber(before)
  if of > before_of or (of == before_of and number >= before) then start = 0 end
end
local durable, base = in_front_of(log, log.durable), in_front_of(log, log.from)
local head = in_front_of(log, log.next)
if not start or start < log.from then return { 'short', durable, base, head } end

local entries, bytes, more = {}, 0, false
while start < log.next and not more do
  local part = redis.call('XRANGE', LOG, log.epoch .. '-' .. text(start), '+',
    'COUNT', step(log, most_bytes - bytes))
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
  start = tonumber(string.match(part[#part][1], '%-(%d+)$')) + 1
end
local upto = head
if more then upto = entries[#entries - 1] end
return { 'page', durable, base, upto, entries }
