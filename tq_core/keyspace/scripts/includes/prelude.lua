-- prelude: the queue's prefix, the time, and the counters that every transition keeps.
-- KEYS 1 is the prefix "tq:{queue}:"; ARGV 1 is the time in ms, or "" for the server's clock (always, but in tests).
local Q, call = KEYS[1], redis.call
local now = tonumber(ARGV[1])
if not now then
  local t = call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local now_ms = string.format('%.0f', now)
local minute_key = Q .. 'minute:' .. math.floor(now / 60000)
local MINUTES_KEPT_S = 172800
local EVENTS_KEPT = 10000
local PRIORITY_BAND = 35184372088832 -- 2^45, tq_core.keyspace.wire.PRIORITY_BAND
local UNPACK_MAX = 1000              -- unpack overflows Lua's stack near 8000

-- pcall: numbers and news that cannot be written must not leave a task half way between two states.
local function count(field, n)
  if n == 0 then return end
  redis.pcall('HINCRBY', Q .. 'counters', field, n)
  if redis.pcall('HINCRBY', minute_key, field, n) == n then call('EXPIRE', minute_key, MINUTES_KEPT_S) end
end

local function event(...)
  redis.pcall('XADD', Q .. 'events', 'MAXLEN', '~', EVENTS_KEPT, '*', ...)
end

local function wake()
  redis.pcall('ZADD', Q .. 'wake', 0, '0')
end
