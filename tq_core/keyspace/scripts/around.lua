-- around: tasks of one state on both sides of a place in their order.
--
-- ARGV  1 now
--       2 state
--       3 order        asc: by score, then id | desc: the exact reverse
--       4 score        of the place
--       5 id           of the task at the place, or "": the place is then before or after all tasks of that score
--       6 ties         before | after: where tasks of that very score are when the id is not among them
--       7 before       how many tasks to read before the place
--       8 from_there   how many to read from the place on
--       9 payload_max  bytes of each payload; the whole length is always said
-- Reply {"OK", total, rank, first, views, {id, score} before the views or {}, {id, score} after them or {}}
--       rank = tasks before the place, first = rank of the first view; a view is the list of tq_core.keyspace.wire.View.
--       What stands next on either side tells who merges several queues how far the others' tasks can be put in order.
-- Moves none. Emits nothing. Cost O(log N + before + from_there).
--@include prelude
--@include view
local state, order, score, id = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local before, from_there = tonumber(ARGV[7]), tonumber(ARGV[8])
local key = Q .. state
local total = call('ZCARD', key)
-- The sentinel of the lease set (claim.lua) has the highest score: last in ascending order, first in descending.
local sentinel = 0
if state == 'running' and call('ZSCORE', key, string.rep('~', 70)) then sentinel = 1 end
total = total - sentinel

local rank = false
if id ~= '' then
  if order == 'desc' then
    rank = call('ZREVRANK', key, id)
    if rank then rank = rank - sentinel end
  else
    rank = call('ZRANK', key, id)
  end
end
if not rank then
  -- Before the first of all, which is what most lists begin with, nothing needs to be counted.
  if score == (order == 'desc' and '+inf' or '-inf') and ARGV[6] == 'after' then
    rank = 0
  elseif order == 'desc' then
    rank = call('ZCOUNT', key, '(' .. score, '+inf') - sentinel
  else
    rank = call('ZCOUNT', key, '-inf', '(' .. score)
  end
  if ARGV[6] == 'before' then rank = rank + call('ZCOUNT', key, score, score) end
end
rank = math.max(0, math.min(rank, total))

local first = math.max(0, rank - before)
local last = math.min(rank + from_there, total) - 1
local from, to = math.max(0, first - 1), math.min(last + 1, total - 1)
local views, above, below = {}, {}, {}
if to >= from then
  local found
  if order == 'desc' then
    found = call('ZREVRANGE', key, from + sentinel, to + sentinel, 'WITHSCORES')
  else
    found = call('ZRANGE', key, from, to, 'WITHSCORES')
  end
  for i = 1, #found, 2 do
    local at = from + (i - 1) / 2
    if at < first then above = {found[i], found[i + 1]}
    elseif at > last then below = {found[i], found[i + 1]}
    else views[#views + 1] = view(found[i], state, found[i + 1], tonumber(ARGV[9]), false) end
  end
end
return {'OK', total, rank, first, views, above, below}
