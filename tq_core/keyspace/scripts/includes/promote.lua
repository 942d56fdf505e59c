-- promote: moves tasks whose time has come to pending; retries to the place they had, first runs to a fresh one. Before,
-- it ends those whose time is over. Returns how many in all, and whether more than `limit` were to be ended.
--@include chunks
--@include body
--@include gates
local function promote_due(limit)
  if call('EXISTS', Q .. 'scheduled', Q .. 'retrying', Q .. 'expiries') == 0 then return 0, false end
  local places, ghosts, expired, is_more = {}, 0, 0, false
  local over = call('ZRANGEBYSCORE', Q .. 'expiries', '-inf', now_ms, 'LIMIT', 0, limit + 1)
  if #over > 0 then
    if #over > limit then
      over[#over] = nil
      is_more = true
    end
-- Included here, since to make its functions takes time that most calls need not spend.
--@include expire
    expired = expire(over)
  end
  local retries = call('ZRANGEBYSCORE', Q .. 'retrying', '-inf', now_ms, 'LIMIT', 0, limit)
  if #retries > 0 then
    local bodies = get_fields('bodies', retries)
    for i = 1, #retries do
      if bodies[i] then
        places[#places + 1] = place_of(bodies[i])
        places[#places + 1] = retries[i]
      else ghosts = ghosts + 1 end
    end
  end
  local firsts = call('ZRANGEBYSCORE', Q .. 'scheduled', '-inf', now_ms, 'LIMIT', 0, limit)
  if #firsts > 0 then
    local bodies, moved = get_fields('bodies', firsts), {}
    local seq = call('HINCRBY', Q .. 'counters', 'seq', #firsts) - #firsts
    for i = 1, #firsts do
      if bodies[i] then
        local place, body = replaced(bodies[i], seq + i)
        places[#places + 1] = place
        places[#places + 1] = firsts[i]
        moved[#moved + 1] = firsts[i]
        moved[#moved + 1] = body
      else ghosts = ghosts + 1 end
    end
    set_fields('bodies', moved)
  end
  -- Added first, so that what cannot be written leaves them where they are.
  add_members('pending', places)
  remove_members('retrying', retries)
  remove_members('scheduled', firsts)
  count('ghost', ghosts)
  return #places / 2 + expired, is_more
end
