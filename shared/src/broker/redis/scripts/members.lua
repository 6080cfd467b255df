-- Memberships changed. KEYS[6] channel. ARGV: PUBLISH or SPUBLISH, whose (a line each).
local log = life()
-- Without a log, whoever still has the room open begins one and asks about everybody.
local version = 0
if log then version = redis.call('HINCRBY', META, 'members', 1) end
redis.call(ARGV[1], KEYS[6], 'M ' .. text(version) .. '\n' .. ARGV[2])
return version
