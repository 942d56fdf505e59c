-- run_schedule: enqueues a task of a schedule now, because a person wants it; its fires stay as they are.
--
-- ARGV  1 now
--       2 actor
--       3 op
--       4 name
--       5 spec        as the caller read it
--       6 detail      JSON: by, why
--       7 priority
--       8 unique      the unique key of its tasks, or ""
--       9 tail        type|max_attempts|unique_key|options|payload (tq_core.keyspace.wire)
--       10 id
--       11 ""
-- Reply {"OK"}
--       {"CHANGED"}                 the schedule is another than the caller read, or gone
--       {"HELD", id}                a task of it is live, and it must not overlap itself
--       {"FULL", depth, max_size}   nothing was written
-- Moves nothing -> pending. Emits enqueued. Cost O(log N).
--@include prelude
--@include sound
--@include audit
--@include admit
if call('HGET', Q .. 'schedules', ARGV[4]) ~= ARGV[5] then return {'CHANGED'} end
-- Sent again because its answer was lost: done already.
if call('HEXISTS', Q .. 'bodies', ARGV[10]) == 1 then return {'OK'} end
local accepted, left, max_size = admit(10, ARGV[7], ARGV[8], ARGV[9])
if not accepted then return {'FULL', left, max_size} end
if #accepted == 0 then return {'HELD', call('HGET', Q .. 'unique', ARGV[8]) or ''} end
audit(ARGV[2], ARGV[3], 'run_schedule', 1, ARGV[6], accepted)
return {'OK'}
