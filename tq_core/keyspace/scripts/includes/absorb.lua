-- absorb: a task that waits takes over what a later one of its unique key asks for; its id and its creation stay.
-- `absorbed` remembers who took whom, so that a call that is sent again gets the same answer, whatever has become of it.
local ABSORBED_S = 600

local function absorbed_before(id)
  local period = math.floor(now / 1000 / ABSORBED_S)
  return call('HGET', Q .. 'absorbed:' .. period, id) or call('HGET', Q .. 'absorbed:' .. (period - 1), id)
end

-- Only one that was never claimed, and whose key is freed when it is, can take over another.
local function can_absorb(holder)
  return call('HEXISTS', Q .. 'until', holder) == 1
    and (call('ZSCORE', Q .. 'scheduled', holder) or call('ZSCORE', Q .. 'pending', holder)) and true or false
end

--@include gates
local function absorb(holder, id, m, place, tail)
  local body = call('HGET', Q .. 'bodies', holder) or ''
  local created = string.match(body, '^%d+|(%d+)|') or now_ms
  local due = now + m.db
  if m.dm then due = math.min(due, tonumber(created) + m.dm) end
  call('ZREM', Q .. 'scheduled', holder)
  call('ZREM', Q .. 'pending', holder)
  call('HSET', Q .. 'bodies', holder, place .. '|' .. created .. '|' .. tail)
  if due > now then call('ZADD', Q .. 'scheduled', string.format('%.0f', due), holder)
  else call('ZADD', Q .. 'pending', place, holder) end
  if m.x then call('ZADD', Q .. 'expiries', string.format('%.0f', now + m.x), holder)
  else call('ZREM', Q .. 'expiries', holder) end
  -- Where it was on its way through its gates, the next of their lines takes its turn.
  if call('EXISTS', Q .. 'parked') == 1 then
    local key, task_type = gates_of(body)
    if key ~= '' then look_again(key, now) end
    look_again('!' .. task_type, now)
  end
  local memory = Q .. 'absorbed:' .. math.floor(now / 1000 / ABSORBED_S)
  call('HSET', memory, id, holder)
  call('EXPIRE', memory, 2 * ABSORBED_S)
end
