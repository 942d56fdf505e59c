-- remove_schedule: forgets a schedule; the tasks that it made stay.
--
-- ARGV  1 now
--       2 actor
--       3 op
--       4 name
--       5 declared_ms one that code declared within so long is refused, for it would come back; "" removes it all the same
--       6 detail      JSON: by, why
-- Reply {"OK"}   {"GONE"}   {"DECLARED", ms since it was declared}
-- Moves none. Emits scheduling. Cost O(log n).
--@include prelude
--@include prime
--@include audit
local name = ARGV[4]
if call('HEXISTS', Q .. 'schedules', name) == 0 then return {'GONE'} end
local seen = tonumber(call('HGET', Q .. 'schedule_notes', 'seen:' .. name) or '')
if ARGV[5] ~= '' and seen and now - seen <= tonumber(ARGV[5]) then
  return {'DECLARED', string.format('%.0f', now - seen)}
end
call('HDEL', Q .. 'schedules', name)
call('ZREM', Q .. 'fires', name)
call('HDEL', Q .. 'schedule_notes', 'paused:' .. name, 'seen:' .. name, 'fired:' .. name, 'fires:' .. name)
event('e', 'scheduling', 'r', 'removed ' .. name, 'by', ARGV[2])
audit(ARGV[2], ARGV[3], 'remove_schedule', 1, ARGV[6])
return {'OK'}
