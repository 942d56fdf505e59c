-- operations: what can be undone, the latest last to be forgotten first.
--
-- ARGV  1 now
--       2 op          only this one; "" for all
--       3 limit
-- Reply {"OK", {op, facts, n tasks, until ms}...}   facts: lengths and values of at (ms), action, actor, detail JSON
-- Moves none. Emits nothing. Cost O(limit log N).
--@include prelude
local found, out = {}, {'OK'}
if ARGV[2] ~= '' then found = {ARGV[2], call('ZSCORE', Q .. 'operations', ARGV[2]) or '0'}
else found = call('ZREVRANGEBYSCORE', Q .. 'operations', '+inf', '(' .. now_ms, 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[3])) end
for i = 1, #found, 2 do
  local op = found[i]
  if tonumber(found[i + 1]) > now then
    out[#out + 1] = {op, call('HGET', Q .. 'operated', op) or '',
      call('ZLEXCOUNT', Q .. 'trashed', '[' .. op .. ' "', '(' .. op .. '!'), found[i + 1]}
  end
end
return out
