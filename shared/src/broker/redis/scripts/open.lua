-- Where the log stands.
local log = life()
if not log then
  if redis.call('EXISTS', LOG, NAMES, META) > 0 then return { 'lost' } end
  return { 'gone' }
end
return { 'alive', log.epoch, text(log.next), log.before, log.members }
