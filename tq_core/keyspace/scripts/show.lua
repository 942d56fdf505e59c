-- show: all that is known of the named tasks.
--
-- ARGV  1 now
--       2 payload_max  bytes of each payload; the whole length is always said
--       then ids
-- Reply {"OK", views}   a view is the list of tq_core.keyspace.wire.View, or "" for a task that is not there
-- Moves none. Emits nothing. Cost O(n log N).
--@include prelude
--@include selection
--@include view
local views = {}
for i = 3, #ARGV do
  local state = state_of(ARGV[i])
  views[#views + 1] = state and view(ARGV[i], state, call('ZSCORE', Q .. state, ARGV[i]), tonumber(ARGV[2]), true) or ''
end
return {'OK', views}
