-- put_schedule: adds a schedule, changes it, or makes it what the code declares.
--
-- ARGV  1 now
--       2 actor       "" for code that declares it
--       3 op
--       4 mode        add: a person's, only where there is none
--                     edit: a person's, only where it is as that person saw it
--                     declare: code that starts; replaces what is there
--                     keep: code that runs; puts it back where it is gone
--       5 name
--       6 spec        JSON of tq_core.roles.schedules.Schedule
--       7 next_ms     its first fire; used where it is new or another than before
--       8 detail      JSON: by, why
--       9 limit       schedules a queue
--      10 seen        edit: the spec that is to be replaced
-- Reply {"OK", "added" | "changed" | "same"}   {"EXISTS"}   {"MANY", n}   {"CHANGED"} another has it, or it is gone
-- Moves none. Emits scheduling where something changed. Cost O(log n).
--@include prelude
--@include prime
--@include audit
local name, spec, mode = ARGV[5], ARGV[6], ARGV[4]
local is_declared = mode == 'declare' or mode == 'keep'
local known = call('HGET', Q .. 'schedules', name)
if known and mode == 'add' then return {'EXISTS'} end
if mode == 'edit' and known ~= ARGV[10] then return {'CHANGED'} end
local n = call('HLEN', Q .. 'schedules')
if not known and n >= tonumber(ARGV[9]) then return {'MANY', n} end
local word = not known and 'added' or known ~= spec and mode ~= 'keep' and 'changed' or 'same'
if word ~= 'same' then
  call('HSET', Q .. 'schedules', name, spec)
  -- One that a person paused stays so, whatever the code now says of it.
  if call('HEXISTS', Q .. 'schedule_notes', 'paused:' .. name) == 0 then call('ZADD', Q .. 'fires', ARGV[7], name) end
  event('e', 'scheduling', 'r', word .. ' ' .. name, 'by', ARGV[2])
  if not is_declared then audit(ARGV[2], ARGV[3], mode .. '_schedule', 1, ARGV[8]) end
end
if is_declared then call('HSET', Q .. 'schedule_notes', 'seen:' .. name, now_ms) end
return {'OK', word}
