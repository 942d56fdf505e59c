-- slots: what a task gives up when it stops running, however that comes about. `slots` has id -> "KEY>TYPE" of each running
-- task that went through a gate (TYPE only where the type has a breaker), `holders` "GATE>id" of those that count there:
-- how many hold a gate is the length of a range, so nothing can drift.
--@include gates
--@include breakers
local is_limited

local function vacate(id, how)
  local slot = call('HGET', Q .. 'slots', id)
  if slot then
    local key, task_type = string.match(slot, '^([^>]*)>(.*)$')
    call('HDEL', Q .. 'slots', id)
    if key ~= '' then
      call('ZREM', Q .. 'holders', key .. '>' .. id)
      look_again(key, now)
    end
    if task_type ~= '' then judge(task_type, how, call('ZREM', Q .. 'holders', '!' .. task_type .. '>' .. id) == 1) end
  end
end

-- There may be room now for one that is idle; who is at work asks by itself.
local function tell_of_room()
  if call('EXISTS', Q .. 'pending', Q .. 'gates') > 0 then wake() end
end

-- `how` as in breakers.lua.
local function stop_running(id, how)
  call('HDEL', Q .. 'tokens', id)
  call('ZREM', Q .. 'running', id)
  if is_limited == nil then is_limited = call('EXISTS', Q .. 'limits') == 1 end
  if is_limited then
    vacate(id, how)
    tell_of_room()
  end
end
