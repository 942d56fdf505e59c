-- expire: ends waiting tasks whose time is over; running ones are set aside, since they may still end well.
--@include endings
--@include lines
local function expire(ids)
  local gone, taken, queued = {}, {}, {}
  -- All are taken out before the first is ended: a child that expires with its parent is expired, whatever its policy says.
  for i = 1, #ids do
    local id = ids[i]
    if call('HEXISTS', Q .. 'tokens', id) == 1 then call('ZINCRBY', Q .. 'expiries', SET_ASIDE, id)
    else
      gone[#gone + 1] = id
      for _, state in ipairs({'pending', 'scheduled', 'retrying', 'blocked'}) do
        if call('ZREM', Q .. state, id) == 1 then
          if state == 'blocked' then stop_waiting(id) end
          if state == 'blocked' or state == 'pending' then queued[#queued + 1] = id end
          taken[#taken + 1] = id
          break
        end
      end
    end
  end
  remove_members('expiries', gone)
  leave_all_lines(queued)
  local bodies, expired = get_fields('bodies', taken), {}
  for i = 1, #taken do
    local id = taken[i]
    if bodies[i] then
      expired[#expired + 1] = id
      local failures = trail_of(id).failures
      end_cancelled(id, bodies[i], '|', 'expired', failures, 0,
        '{"type":"TaskExpiredError","message":"its time was over before a worker took it'
          .. (failures > 0 and ' again' or '') .. '"}')
    else count('ghost', 1) end
  end
  if #expired > 0 then
    count('expired', #expired)
    count('cancelled', #expired)
    event('e', 'expired', 'i', table.concat(expired, ','))
  end
  return #expired
end
