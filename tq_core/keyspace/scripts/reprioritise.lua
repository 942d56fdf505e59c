-- reprioritise: gives tasks that wait another priority; their sequence stays, so older ones are ahead in the new band too.
--
-- ARGV  1 now
--       2 actor
--       3 op          id of the operation, shared by its calls
--       4 detail      JSON: by, why, priority
--       5 priority
--       then ids
-- Reply {word...}  per task "MOVED", "SAME" it has that priority, "IS:<state>" it runs or has ended, or "GONE"
-- Moves none: pending and blocked tasks change places, scheduled and retrying ones get the place they will have. Emits
-- reprioritised. Cost O(n log N).
--@include prelude
--@include sound
--@include prime
--@include selection
--@include body
--@include audit
--@include gates
local WAITS = {pending = true, blocked = true, scheduled = true, retrying = true}
local words, moved = {}, {}
local has_lines = call('EXISTS', Q .. 'parked') == 1

-- A task in the line of a limit or breaker gets the place in it that its new priority gives it.
local function move_in_line(id, body, place)
  local key, task_type = gates_of(body)
  for _, gate in ipairs({'!' .. task_type, key ~= '' and key or nil}) do
    if call('ZREM', Q .. 'parked', in_line(gate, place_of(body), id)) == 1 then
      call('ZADD', Q .. 'parked', 0, in_line(gate, place, id))
    end
  end
end

for i = 6, #ARGV do
  local id = ARGV[i]
  local body, state = call('HGET', Q .. 'bodies', id), state_of(id)
  local word
  if not body or not state then word = 'GONE'
  elseif not WAITS[state] then word = 'IS:' .. state
  else
    local old = tonumber(place_of(body))
    local place = string.format('%.0f', tonumber(ARGV[5]) * PRIORITY_BAND + old % PRIORITY_BAND)
    if place == place_of(body) then word = 'SAME'
    else
      word = 'MOVED'
      call('HSET', Q .. 'bodies', id, place .. (string.match(body, '|.*$') or ''))
      if state == 'blocked' and has_lines then move_in_line(id, body, place) end
      if state == 'pending' or state == 'blocked' then call('ZADD', Q .. state, place, id) end
      moved[#moved + 1] = id
    end
  end
  words[#words + 1] = word
end
if #moved > 0 then
  event('e', 'reprioritised', 'i', table.concat(moved, ','), 'by', ARGV[2])
  audit(ARGV[2], ARGV[3], 'reprioritise', #moved, ARGV[4], moved)
end
return words
