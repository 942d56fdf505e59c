-- promote: moves tasks whose time has come to pending; retries to the place they had, first runs to a fresh one.
--@include chunks
--@include body
local function promote_due(limit)
  if call('EXISTS', Q .. 'scheduled', Q .. 'retrying') == 0 then return 0 end
  local places, ghosts = {}, 0
  local retries = call('ZRANGEBYSCORE', Q .. 'retrying', '-inf', now_ms, 'LIMIT', 0, limit)
  if #retries > 0 then
    local bodies = get_fields('bodies', retries)
    remove_members('retrying', retries)
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
    remove_members('scheduled', firsts)
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
  add_members('pending', places)
  count('ghost', ghosts)
  return #places / 2
end
