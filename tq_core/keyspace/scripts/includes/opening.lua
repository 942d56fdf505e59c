-- opening: lets tasks through a queue's gates, and back out of their lines when there is room again.
--@include chunks
--@include body
--@include gates
--@include breakers
local GATES_MAX = 20   -- gates a call
local UNPARK_MAX = 200 -- tasks of one gate a call
local LOOK_MAX = 500   -- pending tasks a claim looks at: those of a key that is full are out of the others' way after that
local STEP = 100
local seen = {}
local general

-- count/period ms/burst. The score of a rate is when its bucket will be full again (GCRA): one number, no sweep.
local function rate_of(text, member)
  local starts, period_ms, burst = string.match(text or '', '^(%d+)/(%d+)/(%d+)$')
  if not starts then return nil end
  local step, full_ms = period_ms / starts, tonumber(call('ZSCORE', Q .. 'rates', member) or 0)
  -- No bucket takes longer than an empty one: this is of a slower rate, or of a clock that has gone back since.
  local emptied_ms = now + burst * step
  if full_ms > emptied_ms + 1 then
    full_ms = emptied_ms
    call('ZADD', Q .. 'rates', string.format('%.3f', full_ms), member)
  end
  return {step = step, burst = tonumber(burst), full_ms = math.max(full_ms, now), member = member}
end

local function rate_room(rate)
  return math.max(0, math.floor(rate.burst - (rate.full_ms - now) / rate.step + 0.000001))
end

local function rate_next(rate)
  return math.max(now + 1, math.ceil(rate.full_ms - (rate.burst - 1) * rate.step))
end

local function use_rate(rate, starts)
  rate.full_ms = rate.full_ms + starts * rate.step
  rate.is_used = true
end

local function keep_rate(rate)
  if rate.is_used then call('ZADD', Q .. 'rates', string.format('%.3f', rate.full_ms), rate.member) end
end

local function look_up(gate)
  if not string.find(gate, '!', 1, true) then
    local own = call('HMGET', Q .. 'limits', 'key_running:' .. gate, 'key_rate:' .. gate)
    return {limit = tonumber(own[1] or general[3] or ''), rate = rate_of(own[2] or general[4], gate)}
  end
  local task_type = string.sub(gate, 2)
  local set = call('HGET', Q .. 'limits', 'breaker:' .. task_type)
  local state = set and call('HGET', Q .. 'breakers', 'state:' .. task_type)
  if not state then return {is_watched = set} end
  local word, until_ms = string.match(state, '^(%l+)|%d+|(%d*)|')
  until_ms = tonumber(until_ms)
  if word == 'open' and not (until_ms and now >= until_ms) then
    return {is_watched = true, limit = 0, opens_ms = until_ms}
  elseif word == 'open' then
    call('HSET', Q .. 'breakers', 'state:' .. task_type, 'half|' .. now_ms .. '||')
    tell_breaker(task_type, 'half-open: probes may run')
  end
  return {is_watched = true, is_probing = true, limit = tonumber(string.match(set, '(%d+)$'))}
end

-- What is known of a gate in this call.
local function known(gate)
  if not seen[gate] then
    general = general or call('HMGET', Q .. 'limits', 'running', 'rate', 'key_running', 'key_rate')
    local found = look_up(gate)
    found.holders = found.limit and found.limit > 0 and call('ZLEXCOUNT', Q .. 'holders', of_gate(gate)) or 0
    seen[gate] = found
  end
  return seen[gate]
end

local function room_of(found)
  local room = found.limit and math.max(0, found.limit - found.holders) or math.huge
  return found.rate and math.min(room, rate_room(found.rate)) or room
end

-- When a line should be looked at again; nil: when one that holds its gate ends, or a person changes something.
local function next_look(found)
  if room_of(found) > 0 then return now end
  if found.opens_ms then return found.opens_ms end
  if found.rate and not (found.limit and found.holders >= found.limit) then return rate_next(found.rate) end
end

local function open_gates()
  local opened = 0
  for _, gate in ipairs(call('ZRANGEBYSCORE', Q .. 'gates', '-inf', now_ms, 'LIMIT', 0, GATES_MAX)) do
    local found = known(gate)
    local room = math.min(room_of(found), UNPARK_MAX)
    local from, to = of_gate(gate)
    if room > 0 then
      local members = call('ZRANGEBYLEX', Q .. 'parked', from, to, 'LIMIT', 0, room)
      local ids, places = {}, {}
      for i = 1, #members do
        local place, id = string.match(members[i], '>0*(%d+)>(.*)$')
        ids[i], places[i * 2 - 1], places[i * 2] = id, place, id
      end
      remove_members('parked', members)
      remove_members('blocked', ids)
      add_members('pending', places)
      opened = opened + #members
    end
    -- Where it let out as many as it has room for, the next look is when those are claimed.
    local at_ms = next_look(found)
    if at_ms and (at_ms > now or room == UNPARK_MAX) then look_again(gate, at_ms)
    else call('ZREM', Q .. 'gates', gate) end
  end
  return opened
end

-- Sorts popped tasks into those that may run, those that must wait in a line, and those for which there is no room.
local function sort_out(popped, chosen, cap)
  local ids, parked, blocked, back, touched, ghosts = {}, {}, {}, {}, {}, 0
  for i = 1, #popped / 2 do ids[i] = popped[i * 2 - 1] end
  local bodies = get_fields('bodies', ids)
  for i = 1, #ids do
    local id, place, body = ids[i], popped[i * 2], bodies[i]
    if not body then ghosts = ghosts + 1
    elseif #chosen.ids >= cap then
      back[#back + 1], back[#back + 2] = place, id
    else
      local key, task_type = gates_of(body)
      local breaker, of_type = known('!' .. task_type), '!' .. task_type
      local of_key = key ~= '' and known(key)
      touched[of_type] = breaker
      if of_key then touched[key] = of_key end
      local shut = room_of(breaker) <= 0 and of_type or of_key and room_of(of_key) <= 0 and key
      if shut then
        parked[#parked + 1], parked[#parked + 2] = 0, in_line(shut, place_of(body), id)
        blocked[#blocked + 1], blocked[#blocked + 2] = place_of(body), id
      else
        chosen.ids[#chosen.ids + 1] = id
        chosen.bodies[#chosen.ids] = body
        if of_key then
          of_key.holders = of_key.holders + 1
          if of_key.rate then use_rate(of_key.rate, 1) end
          chosen.holders[#chosen.holders + 1], chosen.holders[#chosen.holders + 2] = 0, key .. '>' .. id
        end
        if breaker.is_probing then
          breaker.holders = breaker.holders + 1
          chosen.holders[#chosen.holders + 1], chosen.holders[#chosen.holders + 2] = 0, of_type .. '>' .. id
        end
        if of_key or breaker.is_watched then
          chosen.slots[#chosen.slots + 1] = id
          chosen.slots[#chosen.slots + 1] = key .. '>' .. (breaker.is_watched and task_type or '')
        end
      end
    end
  end
  add_members('parked', parked)
  add_members('blocked', blocked)
  add_members('pending', back)
  count('ghost', ghosts)
  if call('EXISTS', Q .. 'parked') == 1 then
    for gate, found in pairs(touched) do
      local at_ms = next_look(found)
      if at_ms then look_again(gate, at_ms) end
    end
  end
end

-- The ids and bodies of up to n tasks that may run now, and when to ask again: ms, or "" for when one ends; nil where
-- nothing but the queue's own tasks decides.
local function choose(n, running)
  general = call('HMGET', Q .. 'limits', 'running', 'rate', 'key_running', 'key_rate')
  local chosen, looked = {ids = {}, bodies = {}, holders = {}, slots = {}}, 0
  local rate = rate_of(general[2], '')
  local limit = tonumber(general[1] or '')
  local room = limit and math.max(0, limit - running) or math.huge
  local cap = math.min(n, room, rate and rate_room(rate) or n)
  while #chosen.ids < cap and looked < LOOK_MAX do
    open_gates()
    local asked = cap - #chosen.ids
    if looked > 0 then asked = math.max(asked, STEP) end
    local popped = call('ZPOPMIN', Q .. 'pending', math.min(asked, LOOK_MAX - looked))
    if #popped == 0 then break end
    looked = looked + #popped / 2
    sort_out(popped, chosen, cap)
  end
  set_fields('slots', chosen.slots)
  add_members('holders', chosen.holders)
  for _, found in pairs(seen) do
    if found.rate then keep_rate(found.rate) end
  end
  if rate then
    use_rate(rate, #chosen.ids)
    if #chosen.ids > 0 then keep_rate(rate) end
  end
  if room <= #chosen.ids then return chosen.ids, chosen.bodies, '' end
  if rate and rate_room(rate) == 0 then return chosen.ids, chosen.bodies, rate_next(rate) end
  local first = tonumber(call('ZRANGE', Q .. 'gates', 0, 0, 'WITHSCORES')[2])
  if call('EXISTS', Q .. 'pending') == 1 or (first and first <= now) then wake() end
  return chosen.ids, chosen.bodies, first
end
