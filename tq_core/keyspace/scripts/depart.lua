-- depart: takes nodes or workers off the register: they left, or were lost long ago.
--
-- KEYS  1 the fleet's prefix
-- ARGV  1 now
--       2 kind        node | worker
--       3 reason      stopped | crashed | forgotten
--       then ids
-- Reply {"OK", n}
-- Moves none. Emits left. Cost O(n log N).
--@include prelude
--@include prime
local n = 0
for i = 4, #ARGV do
  local was_there = call('ZREM', Q .. 'seen:' .. ARGV[2], ARGV[i])
  call('HDEL', Q .. 'info:' .. ARGV[2], ARGV[i])
  if ARGV[2] == 'node' then call('DEL', Q .. 'inbox:' .. ARGV[i]) end
  if was_there == 1 then
    n = n + 1
    event('e', 'left', 'k', ARGV[2], 'i', ARGV[i], 'r', ARGV[3])
  end
end
return {'OK', n}
