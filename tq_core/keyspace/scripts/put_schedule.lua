-- put_schedule: adds a schedule, or makes it what the code declares.
--
-- ARGV  1 now
--       2 actor       "" for code that declares it
--       3 op
--       4 mode        add: a person's, only where there is none
--                     declare: code that starts; replaces what is there
--                     keep: code that runs; puts it back where it is gone
--       5 name
--       6 spec        JSON of tq_core.roles.schedules.Schedule
--       7 next_ms     its first fire; used where it is new or another than before
--       8 detail      JSON: by, why
--       9 limit       schedules a queue
-- Reply {"OK", "added" | "changed" | "same"}   {"EXISTS"}   {"MANY", n}
-- Moves none. Emits scheduling where something changed. Cost O(log n).
--@include prelude
--@include prime
--@include audit
local name, spec, is_declared = ARGV[5], ARGV[6], ARGV[4] ~= 'add'
local known = call('HGET', Q .. 'schedules', name)
if known and not is_declared then return {'EXISTS'} end
local n = call('HLEN', Q .. 'schedules')
if not known and n >= tonumber(ARGV[9]) then return {'MANY', n} end
local word = not known and 'added' or known ~= spec and ARGV[4] == 'declare' and 'changed' or 'same'
if word ~= 'same' then
  call('HSET', Q .. 'schedules', name, spec)
  -- One that a person paused stays so, whatever the code now says of it.
  if call('HEXISTS', Q .. 'schedule_notes', 'paused:' .. name) == 0 then call('ZADD', Q .. 'fires', ARGV[7], name) end
  event('e', 'scheduling', 'r', word .. ' ' .. name, 'by', ARGV[2])
  if not is_declared then audit(ARGV[2], ARGV[3], 'add_schedule', 1, ARGV[8]) end
end
if is_declared then call('HSET', Q .. 'schedule_notes', 'seen:' .. name, now_ms) end
return {'OK', word}
