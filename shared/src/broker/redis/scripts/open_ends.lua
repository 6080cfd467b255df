-- What of the log is not known to be durable. ARGV: most messages, most bytes.
local log = life()
if not log then return { 'gone' } end
local entries, start, bytes = {}, math.max(log.durable, log.from), 0
local looks = 64
while start < log.next and looks > 0 and #entries < 2 * tonumber(ARGV[1])
  and bytes < tonumber(ARGV[2]) do
  looks = looks - 1
  local part = redis.call('XRANGE', LOG, log.epoch .. '-' .. text(start), '+',
    'COUNT', step(log, tonumber(ARGV[2]) - bytes))
  if #part == 0 then break end
  for _, entry in ipairs(part) do
    local number = string.match(entry[1], '%-(%d+)$')
    if redis.call('SISMEMBER', DONE, number) == 0 then
      entries[#entries + 1] = entry[1]
      entries[#entries + 1] = entry[2][2]
      bytes = bytes + #entry[2][2]
    end
    start = tonumber(number) + 1
  end
end
return { 'alive', log.epoch, text(log.next), text(log.durable),
  text(log.from), entries }
