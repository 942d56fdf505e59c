-- room: asks whether memory is left, by a write that changes nothing; what only an undo needs is not kept where it is full.
-- It must be the first write of a script. A queue that never had a task has no counters, and gets none by being asked.
local has_room = true
if call('EXISTS', Q .. 'counters') == 1 then
  local answer = redis.pcall('HINCRBY', Q .. 'counters', 'seq', 0)
  has_room = type(answer) ~= 'table'
end
