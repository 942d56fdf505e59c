-- promote: moves due tasks to pending and ends expired ones, for queues that no idle worker is claiming from.
--
-- ARGV  1 now
--       2 limit       tasks of each kind a call
-- Reply {"OK", n moved or ended}
-- Moves scheduled, retrying -> pending; blocked, scheduled, pending, retrying -> cancelled. Emits expired. Cost O(k log N).
--@include prelude
--@include prime
--@include promote
local moved = promote_due(tonumber(ARGV[2]))
if moved > 0 then wake() end
return {'OK', moved}
