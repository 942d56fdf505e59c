-- absorb: a task that waits takes over what a later one of its unique key asks for; its id and its creation stay.
-- `absorbed` remembers who took whom, so that a call that is sent again gets the same answer, whatever has become of it.
local ABSORBED_S = 600

local function absorbed_before(id)
  local period = math.floor(now / 1000 / ABSORBED_S)
  return call('HGET', Q .. 'absorbed:' .. period, id) or call('HGET', Q .. 'absorbed:' .. (period - 1), id)
end

-- Only one that was never claimed, and whose key is freed when it is, can take over another; not one that waits for parents.
local function can_absorb(holder)
  if call('HEXISTS', Q .. 'until', holder) == 0 then return false end
  if call('ZSCORE', Q .. 'scheduled', holder) or call('ZSCORE', Q .. 'pending', holder) then return true end
  return call('ZSCORE', Q .. 'blocked', holder) and call('HEXISTS', Q .. 'waits', holder) == 0
end

--@include gates
local function absorb(holder, id, m, place, tail)
  local body = call('HGET', Q .. 'bodies', holder) or ''
  local old_place, created = string.match(body, '^(%d+)|(%d+)|')
  created = created or now_ms
  local due = now + m.db
  if m.dm then due = math.min(due, tonumber(created) + m.dm) end
  call('ZREM', Q .. 'scheduled', holder)
  local has_turn = call('ZREM', Q .. 'pending', holder) + call('ZREM', Q .. 'blocked', holder) > 0
  -- It leaves its line; were it on its way through its gates, the next of their lines takes its turn.
  if call('EXISTS', Q .. 'parked') == 1 then
    local key, task_type = gates_of(body)
    for _, gate in ipairs({'!' .. task_type, key ~= '' and key or nil}) do
      call('ZREM', Q .. 'parked', in_line(gate, old_place, holder))
      look_again(gate, now)
    end
  end
  -- One that may wait no longer keeps its turn: else it would be overtaken for as long as it is asked for.
  if has_turn and due <= now and old_place then
    local band = math.floor(tonumber(place) / PRIORITY_BAND)
    place = string.format('%.0f', band * PRIORITY_BAND + tonumber(old_place) % PRIORITY_BAND)
  end
  call('HSET', Q .. 'bodies', holder, place .. '|' .. created .. '|' .. tail)
  if due > now then call('ZADD', Q .. 'scheduled', string.format('%.0f', due), holder)
  else call('ZADD', Q .. 'pending', place, holder) end
  if m.x then call('ZADD', Q .. 'expiries', string.format('%.0f', now + m.x), holder)
  else call('ZREM', Q .. 'expiries', holder) end
  local memory = Q .. 'absorbed:' .. math.floor(now / 1000 / ABSORBED_S)
  call('HSET', memory, id, holder)
  call('EXPIRE', memory, 2 * ABSORBED_S)
end
