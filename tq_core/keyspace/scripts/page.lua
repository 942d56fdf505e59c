-- page: a window of one state's tasks.
--
-- ARGV  1 now
--       2 state
--       3 offset
--       4 limit
--       5 order        asc: first served, first due, oldest first | desc
--       6 payload_max  bytes of each payload; the whole length is always said
-- Reply {"OK", total, views}   a view is the list of tq_core.keyspace.wire.View
-- Moves none. Emits nothing. Cost O(log N + limit).
--@include prelude
--@include view
local state, offset, limit = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local total = call('ZCARD', Q .. state)
if state == 'running' and call('ZSCORE', Q .. state, string.rep('~', 70)) then
  total = total - 1
  -- The sentinel has the highest score: last in ascending order, first in descending.
  if ARGV[5] == 'desc' then offset = offset + 1 else limit = math.min(limit, math.max(total - offset, 0)) end
end
if limit <= 0 then return {'OK', total, {}} end
local last = offset + limit - 1
local found = ARGV[5] == 'desc' and call('ZREVRANGE', Q .. state, offset, last, 'WITHSCORES')
  or call('ZRANGE', Q .. state, offset, last, 'WITHSCORES')
local views = {}
for i = 1, #found, 2 do views[#views + 1] = view(found[i], state, found[i + 1], tonumber(ARGV[6]), false) end
return {'OK', total, views}
