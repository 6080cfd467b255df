-- Memberships changed. KEYS[6] channel. ARGV: PUBLISH or SPUBLISH, whose (a line each).
local log = life()
local version
if log then
  version = redis.call('HINCRBY', META, 'members', 1)
else
  -- Whoever still has the room open asks about everybody: no version of a log is larger.
  version = now_ms()
end
redis.call(ARGV[1], KEYS[6], 'M ' .. text(version) .. '\n' .. ARGV[2])
if log then return version end
return 0
