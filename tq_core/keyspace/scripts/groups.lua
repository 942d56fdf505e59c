-- groups: what failed alike, in numbers.
--
-- ARGV  1 now
--       2 limit       groups a call: of a queue with more, any
-- Reply {"OK", n groups, {group, count, example, facts, ...}}   example: the id of one of its tasks, the newest where
--        ids were generated; facts as in includes/groups.lua
-- Moves none. Emits nothing. Cost O(groups log N): no task is read.
--@include prelude
--@include groups
local flat, limit, out = call('HGETALL', Q .. 'groups'), tonumber(ARGV[2]), {}
for i = 1, math.min(#flat, limit * 2), 2 do
  local from, to = range_of(flat[i])
  out[#out + 1] = flat[i]
  out[#out + 1] = call('ZLEXCOUNT', Q .. 'alike', from, to)
  local newest = call('ZREVRANGEBYLEX', Q .. 'alike', to, from, 'LIMIT', 0, 1)[1]
  out[#out + 1] = string.match(newest or '', '[^ ]*$')
  out[#out + 1] = flat[i + 1]
end
return {'OK', #flat / 2, out}
