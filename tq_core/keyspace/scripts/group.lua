-- group: tasks that failed alike, those with the highest ids first, which were enqueued last unless ids were chosen.
--
-- ARGV  1 now
--       2 group
--       3 offset       of the views
--       4 limit        how many to view
--       5 payload_max  bytes of each payload; the whole length is always said
--       6 times        of how many, from the first on, to tell when they failed
-- Reply {"OK", total, views, {failed ms, ...}}   a view is the list of tq_core.keyspace.wire.View
-- Moves none. Emits nothing. Cost O(log N + offset + limit + times).
--@include prelude
--@include groups
--@include view
local from, to = range_of(ARGV[2])
local offset, limit, times = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[6])
local total = call('ZLEXCOUNT', Q .. 'alike', from, to)
local views, failed = {}, {}
if limit > 0 and offset < total then
  local members = call('ZREVRANGEBYLEX', Q .. 'alike', to, from, 'LIMIT', offset, limit)
  for i = 1, #members do
    local id = string.match(members[i], '[^ ]*$')
    views[i] = view(id, 'failed', call('ZSCORE', Q .. 'failed', id) or '0', tonumber(ARGV[5]), false)
  end
end
if times > 0 then
  local members = call('ZREVRANGEBYLEX', Q .. 'alike', to, from, 'LIMIT', 0, times)
  for i = 1, #members do failed[i] = call('ZSCORE', Q .. 'failed', string.match(members[i], '[^ ]*$')) or '' end
end
return {'OK', total, views, failed}
