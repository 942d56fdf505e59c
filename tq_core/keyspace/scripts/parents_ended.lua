-- parents_ended: settles the tasks that waited for parents of other queues.
--
-- ARGV  1 now
--       then 4 a parent: id, how it ended (completed, failed, cancelled or deleted), first and last watch: only tasks
--       that asked in between are settled
-- Reply {"OK"}   always the same, and a second time changes nothing
-- Moves blocked -> pending or scheduled, or by policy failed or cancelled. Emits what becomes of them.
-- Cost O((parents + settled) log N).
--@include prelude
--@include sound
--@include prime
--@include endings
for i = 2, #ARGV, 4 do settle(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])) end
return {'OK'}
