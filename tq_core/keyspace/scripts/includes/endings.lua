-- endings: the two terminal states that are not success.
--@include history
--@include forget
--@include groups
--@include dependents
--@include waiters
local FAILED_KEPT = 100000
-- Added to the expiry of a task that ran when its time was over: no range of what is due then finds it again.
local SET_ASIDE = 4503599627370496 -- 2^52, tq_core.keyspace.wire.SET_ASIDE_MS

local function end_failed(id, body, token, reason, attempt, duration_ms, detail, alike)
  call('ZADD', Q .. 'failed', now_ms, id)
  call('HSET', Q .. 'records', id, token .. 'failed:' .. reason .. '|' .. attempt .. '|' .. duration_ms .. '|' .. detail)
  call('HDEL', Q .. 'cancels', id)
  call('ZREM', Q .. 'expiries', id)
  free_unique(id, body)
  join_group(id, body, reason, alike)
  local over = call('ZCARD', Q .. 'failed') - (tonumber(call('HGET', Q .. 'meta', 'keep_failed')) or FAILED_KEPT)
  if over > 0 then
    local popped, old = call('ZPOPMIN', Q .. 'failed', math.min(over, 2)), {}
    for i = 1, #popped, 2 do old[#old + 1] = popped[i] end
    leave_groups(old)
    forget(old)
    count('dropped', #old)
    event('e', 'dropped', 'i', table.concat(old, ','))
  end
  tell_waiters(id)
  settle(id, 'failed')
end

local function end_cancelled(id, body, token, reason, attempt, duration_ms, detail)
  call('ZADD', Q .. 'cancelled', now_ms, id)
  call('HSET', Q .. 'records', id, token .. 'cancelled:' .. reason .. '|' .. attempt .. '|' .. duration_ms .. '|' .. detail)
  call('HDEL', Q .. 'cancels', id)
  call('ZREM', Q .. 'expiries', id)
  free_unique(id, body)
  tell_waiters(id)
  settle(id, 'cancelled')
end

-- A task that will not run because a parent of it ended as `how`: failed | cancelled | deleted.
give_up = function(id, body, policy, parent, how)
  local ended = how == 'failed' and 'failed' or 'was ' .. how
  local detail = cjson.encode({
    parent = parent, type = 'ParentFailedError', message = 'the task ' .. parent .. ', which it waited for, ' .. ended,
  })
  if policy == 'skip' then
    table.insert(settled.cancelled, id)
    end_cancelled(id, body, '|', 'parent_failed', 0, 0, detail)
  else
    table.insert(settled.failed, id)
    end_failed(id, body, '|', 'parent_failed', 0, 0, detail, '||' .. detail)
  end
end

-- A task that waits again is found when its time is over, also where it was set aside.
local function may_expire(id)
  local at_ms = call('ZSCORE', Q .. 'expiries', id)
  if at_ms and tonumber(at_ms) >= SET_ASIDE then call('ZINCRBY', Q .. 'expiries', -SET_ASIDE, id) end
end

-- Back to the place it had: retried and returned tasks keep their turn.
local function put_back(id, body)
  may_expire(id)
  call('ZADD', Q .. 'pending', place_of(body), id)
end
