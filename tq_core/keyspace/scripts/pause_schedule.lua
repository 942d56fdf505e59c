-- pause_schedule: keeps a schedule from firing, or lets it fire again from its next fire on.
--
-- ARGV  1 now
--       2 actor
--       3 op
--       4 name
--       5 next_ms     its next fire: it goes on; "" stops it
--       6 detail      JSON: by, why
-- Reply {"OK", "changed" | "unchanged"}   {"GONE"}
-- Moves none. Emits scheduling. Cost O(log n).
--@include prelude
--@include prime
--@include audit
local name, is_stop = ARGV[4], ARGV[5] == ''
if call('HEXISTS', Q .. 'schedules', name) == 0 then return {'GONE'} end
if (call('HEXISTS', Q .. 'schedule_notes', 'paused:' .. name) == 1) == is_stop then return {'OK', 'unchanged'} end
if is_stop then
  call('ZREM', Q .. 'fires', name)
  call('HSET', Q .. 'schedule_notes', 'paused:' .. name, ARGV[6])
else
  call('HDEL', Q .. 'schedule_notes', 'paused:' .. name)
  call('ZADD', Q .. 'fires', ARGV[5], name)
end
event('e', 'scheduling', 'r', (is_stop and 'paused ' or 'resumed ') .. name, 'by', ARGV[2])
audit(ARGV[2], ARGV[3], is_stop and 'pause_schedule' or 'resume_schedule', 1, ARGV[6])
return {'OK', 'changed'}
