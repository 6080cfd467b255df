-- What every script of a room begins with. A room's keys share a slot.
--   LOG    stream: its messages, each under its position
--   NAMES  hash: sender and name -> "position hash time"; the empty name tells that it exists
--   ORDER  list: "time name", oldest first
--   META   hash: run, epoch, members, next, durable, from, before, bytes, at, batch:<speaker>
--   DONE   set: numbers that are durable with a hole in front of them
-- `run` is the Redis that wrote it, `at` the time of the last message. Numbers up to `durable`
-- (exclusive) are in the database without a hole, those from `from` on in the log; `before` is the
-- position in front of the epoch's first.
local LOG, NAMES, ORDER, META, DONE = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

-- The process, and the history that it writes: both are others after a failover, also after one back
-- to a process that was only a replica for a while.
local function run()
  local info = redis.call('INFO', 'server') .. redis.call('INFO', 'replication')
  return string.match(info, 'run_id:(%x+)') .. string.match(info, 'master_replid:(%x+)')
end

-- The life of the log, or nothing when there is none: a part of it is missing, or another Redis
-- wrote it than the one that runs this (a restart, or a replica that may not have the end of it).
local function life()
  local meta = redis.call('HMGET', META, 'run', 'epoch', 'members', 'next', 'durable', 'from',
    'before', 'bytes')
  if not meta[1] or redis.call('EXISTS', LOG, NAMES) < 2 then return nil end
  if meta[1] ~= run() then return nil end
  return { epoch = meta[2], members = meta[3], next = tonumber(meta[4]),
    durable = tonumber(meta[5]), from = tonumber(meta[6]), before = meta[7],
    bytes = tonumber(meta[8]) }
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function text(number) return string.format('%.0f', number) end

-- The position in front of a number.
local function in_front_of(log, number)
  if number == 0 then return log.before end
  return log.epoch .. '-' .. text(number - 1)
end

-- How many messages to look at for so many bytes: as large as they are on average.
local function step(log, bytes)
  local average = log.bytes / math.max(1, log.next - log.from)
  return math.max(1, math.min(64, math.ceil(bytes / math.max(1, average))))
end

-- Takes messages off the front of the log, nothing from `limit` on: down to `keep` numbers in
-- front of that, and until the log has no more than `keep_bytes`.
local function trim(log, limit, keep, keep_bytes)
  local from, bytes = log.from, log.bytes
  local function enough() return limit - from <= keep and bytes <= keep_bytes end
  while from < limit and not enough() do
    local part = redis.call('XRANGE', LOG, log.epoch .. '-' .. text(from),
      log.epoch .. '-' .. text(limit - 1), 'COUNT', 16)
    -- Numbers at the end may show nothing.
    if #part == 0 then from = math.max(from, limit - keep) break end
    for _, entry in ipairs(part) do
      if enough() then break end
      bytes = bytes - #entry[2][2]
      from = tonumber(string.match(entry[1], '%-(%d+)$')) + 1
    end
  end
  if from ~= log.from then
    redis.call('XTRIM', LOG, 'MINID', log.epoch .. '-' .. text(from))
    redis.call('HSET', META, 'from', text(from), 'bytes', text(bytes))
    log.from, log.bytes = from, bytes
  end
end
