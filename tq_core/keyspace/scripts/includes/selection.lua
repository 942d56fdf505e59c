-- selection: the tasks that an operator's call is about, taken out of the index they were in.
-- Either named ids, or the first `limit` of one state whose score is at most `until_ms`: so a loop of calls ends even
-- while tasks come back to that state. Of blocked ones the last: children mostly stand behind their parents, and would give
-- up, and be ended instead of taken, when those go before them in an earlier call.
--@include chunks
local function take(state, until_ms, limit)
  local found, ids, scores
  if state == 'blocked' then found = call('ZREVRANGE', Q .. state, 0, limit - 1, 'WITHSCORES')
  elseif state == 'pending' then found = call('ZRANGE', Q .. state, 0, limit - 1, 'WITHSCORES')
  else found = call('ZRANGEBYSCORE', Q .. state, '-inf', until_ms, 'WITHSCORES', 'LIMIT', 0, limit) end
  ids, scores = {}, {}
  for i = 1, #found, 2 do ids[#ids + 1], scores[#scores + 1] = found[i], found[i + 1] end
  remove_members(state, ids)
  return ids, scores
end

-- The first of `states` that holds the id, which is removed from it, and its score; nil when none does.
local function take_from(states, id)
  for i = 1, #states do
    local score = call('ZSCORE', Q .. states[i], id)
    if score then
      call('ZREM', Q .. states[i], id)
      return states[i], score
    end
  end
end

local function state_of(id)
  for _, state in ipairs({'running', 'pending', 'completed', 'failed', 'retrying', 'scheduled', 'cancelled', 'blocked'}) do
    if call('ZSCORE', Q .. state, id) then return state end
  end
end
