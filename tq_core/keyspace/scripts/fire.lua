-- fire: enqueues the tasks of a schedule that is due and moves it on to its next fire; of all who try, one does it.
--
-- ARGV  1 now
--       2 name
--       3 spec        as the caller read it
--       4 fire_ms     the fire that it read as due
--       5 next_ms     the one that comes after
--       6 last_ms     the fire that is reported as the last one; "" leaves that as it is
--       7 priority
--       8 unique      the unique key of its tasks, or ""
--       9 tail        type|max_attempts|unique_key|options|payload (tq_core.keyspace.wire)
--       then 2 a task: id, due ms or ""
-- Reply {"OK", new ids}
--       {"LATE"}                    another worker was first, or the schedule was changed, paused or removed
--       {"FULL", depth, max_size}   nothing was written: it stays due
-- Moves nothing -> pending or scheduled. Emits enqueued, or skipped where a fire made no task. Cost O(n log N).
--@include prelude
--@include sound
--@include admit
local name = ARGV[2]
local at = call('ZSCORE', Q .. 'fires', name)
if not at or tonumber(at) ~= tonumber(ARGV[4]) or call('HGET', Q .. 'schedules', name) ~= ARGV[3] then
  return {'LATE'}
end
local accepted, left, max_size = admit(10, ARGV[7], ARGV[8], ARGV[9])
if not accepted then return {'FULL', left, max_size} end
call('ZADD', Q .. 'fires', ARGV[5], name)
if ARGV[6] ~= '' then call('HSET', Q .. 'schedule_notes', 'fired:' .. name, ARGV[6]) end
if #accepted > 0 then call('HINCRBY', Q .. 'schedule_notes', 'fires:' .. name, #accepted)
else event('e', 'skipped', 'r', name) end
return {'OK', accepted}
