-- selection: the tasks that an operator's call is about, taken out of the index they were in.
-- Either named ids, or the first `limit` of one state whose score is at most `until_ms`: so a loop of calls ends even
-- while tasks come back to that state.
--@include chunks
local function take(state, until_ms, limit)
  local ids
  if state == 'pending' then ids = call('ZRANGE', Q .. state, 0, limit - 1)
  else ids = call('ZRANGEBYSCORE', Q .. state, '-inf', until_ms, 'LIMIT', 0, limit) end
  remove_members(state, ids)
  return ids
end

-- The first of `states` that holds the id, which is removed from it; nil when none does.
local function take_from(states, id)
  for i = 1, #states do
    if call('ZREM', Q .. states[i], id) == 1 then return states[i] end
  end
end

local function state_of(id)
  for _, state in ipairs({'running', 'pending', 'completed', 'failed', 'retrying', 'scheduled', 'cancelled', 'blocked'}) do
    if call('ZSCORE', Q .. state, id) then return state end
  end
end
