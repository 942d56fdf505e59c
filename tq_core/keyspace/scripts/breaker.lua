-- breaker: opens a type's breaker by hand until it is closed by hand, or closes it.
--
-- ARGV  1 now
--       2 actor
--       3 op
--       4 detail      JSON: by, why
--       5 type
--       6 word        open | close
-- Reply {"OK", "changed" | "unchanged"}   {"NONE"} the type has no breaker
-- Moves none. Emits breaker. Cost O(log N).
--@include prelude
--@include prime
--@include audit
--@include breakers
local task_type, word = ARGV[5], ARGV[6]
if call('HEXISTS', Q .. 'limits', 'breaker:' .. task_type) == 0 then return {'NONE'} end
local state = call('HGET', Q .. 'breakers', 'state:' .. task_type)
if word == 'open' then
  if state and string.match(state, '^open|%d+||') then return {'OK', 'unchanged'} end
  open_breaker(task_type, '', 'by ' .. string.gsub(ARGV[2], '|', '/'))
else
  if not state then return {'OK', 'unchanged'} end
  close_breaker(task_type, 'by ' .. string.gsub(ARGV[2], '|', '/'))
  wake()
end
audit(ARGV[2], ARGV[3], word .. '_breaker', 1, ARGV[4])
return {'OK', 'changed'}
