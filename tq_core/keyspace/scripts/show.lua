-- show: all that is known of the named tasks.
--
-- ARGV  1 now
--       2 payload_max  bytes of each payload; the whole length is always said
--       then ids
-- Reply {"OK", views}   a view is the list of tq_core.keyspace.wire.View, or for a task that is not there its new
--       id where it was moved to another queue within two days, else ""
-- Moves none. Emits nothing. Cost O(n log N).
--@include prelude
--@include selection
--@include view
local views = {}
-- The id that a task got in another queue.
local function new_id_of(id)
  local day = math.floor(now / 86400000)
  return call('HGET', Q .. 'moved:' .. day, id) or call('HGET', Q .. 'moved:' .. (day - 1), id)
end
for i = 3, #ARGV do
  local state = state_of(ARGV[i])
  views[#views + 1] = state and view(ARGV[i], state, call('ZSCORE', Q .. state, ARGV[i]), tonumber(ARGV[2]), true)
    or new_id_of(ARGV[i]) or ''
end
return {'OK', views}
