-- admit: enqueues the tasks of a schedule, whose ids say which fire each is of. A task that is there already is left
-- out, and where a schedule must not overlap itself (it has a unique key) so is all but the first while none is live.
--@include chunks
--@include holder
-- ARGV from `first` on: per task an id, and when it is due (ms) or "" for now.
-- Returns the ids of the new tasks, and how many were left out; or nil, depth, max_size where the queue has no room.
local function admit(first, priority, unique, tail)
  local n = (#ARGV - first + 1) / 2
  local ids, new = {}, {}
  for i = 1, n do ids[i] = ARGV[first + (i - 1) * 2] end
  local known = get_fields('bodies', ids)
  local holder, is_over
  if unique ~= '' then holder, is_over = holder_of(unique) end
  local is_held = holder ~= nil
  for i = 1, n do
    if not known[i] and not is_held then
      new[#new + 1] = i
      is_held = unique ~= ''
    end
  end
  if #new == 0 then return new, n end
  local max_size = tonumber(call('HGET', Q .. 'meta', 'max_size') or '')
  if max_size then
--@include depth
    if depth + #new > max_size then return nil, depth, max_size end
  end
  -- The first write may be refused for lack of memory: then nothing at all was written.
  local seq = call('HINCRBY', Q .. 'counters', 'seq', #new) - #new
  local bodies, pending, scheduled, accepted = {}, {}, {}, {}
  for at, i in ipairs(new) do
    local place = string.format('%.0f', tonumber(priority) * PRIORITY_BAND + seq + at)
    local due = tonumber(ARGV[first + (i - 1) * 2 + 1])
    bodies[#bodies + 1] = ids[i]
    bodies[#bodies + 1] = place .. '|' .. now_ms .. '|' .. tail
    local is_later = due and due > now
    local zset = is_later and scheduled or pending
    zset[#zset + 1] = is_later and string.format('%.0f', due) or place
    zset[#zset + 1] = ids[i]
    accepted[at] = ids[i]
  end
  local options = string.match(tail, '^[^|]*|%d+|[^|]*|([^|]*)|') or ''
  local expires_s = tonumber(string.match(options, '"expires_in_s":([%d.e+-]+)') or '')
  if expires_s then
    local expiries, over = {}, string.format('%.0f', now + expires_s * 1000)
    for at = 1, #accepted do expiries[at * 2 - 1], expiries[at * 2] = over, accepted[at] end
    add_members('expiries', expiries)
  end
  set_fields('bodies', bodies)
  add_members('pending', pending)
  add_members('scheduled', scheduled)
  if unique ~= '' then call('HSET', Q .. 'unique', unique, accepted[1]) end
  if is_over then call('ZREM', Q .. 'locks', unique) end
  wake()
  count('enqueued', #accepted)
  event('e', 'enqueued', 'i', table.concat(accepted, ','))
  return accepted, n - #accepted
end
