-- enqueue: accepts new tasks, all or none of them when the queue is full.
--
-- ARGV  1 now
--       2 number      the queue's number that the ids carry; "" when all ids are chosen ones
--       then 3 a task:
--         id
--         meta        priority, or JSON {p: priority, d: delay ms, at: due ms, x: ms until it expires,
--                     u: unique key, us: true = held until it is claimed, uf: ms for which it is held,
--                     db: debounce ms, dm: ms after the first at which it is due at the latest,
--                     dep: ids of its parents in this queue, far: ids of those in other queues,
--                     gone: one of those that is not there,
--                     on: what it does when one does not complete: fail, skip or run}
--         tail        type|max_attempts|unique_key|options|payload (tq_core.keyspace.wire)
-- Reply {"OK"}                      every task was accepted
--       {"MIXED", word...}          per task "A" accepted, "D" this id exists, "U:<id>" its unique key is held,
--                                   "R:<id>" that task waits and does now what this one asked for
--       {"FULL", depth, max_size}   nothing was written
--       {"NUMBER", number or ""}    the queue has another number, or none yet; nothing was written
--       {"SCHEMA", version}        a newer client wrote the queue; nothing was written
--       {"PARENT", id, parent, n}   n = 0: there is no such parent, else so many tasks wait for it; nothing was written
-- Moves nothing -> pending, scheduled or blocked; where a parent has ended without success, by policy failed or cancelled.
-- Emits enqueued, replaced, failed, cancelled. Cost O(n log N).
--@include prelude
--@include chunks
--@include schema
local CHILDREN_MAX = 10000 -- they are settled in one step
local FIRST, PER_TASK = 3, 3
local n = (#ARGV - FIRST + 1) / PER_TASK
local meta = call('HMGET', Q .. 'meta', 'number', 'max_size', 'schema')
if meta[3] and tonumber(meta[3]) > SCHEMA then return {'SCHEMA', meta[3]} end
if not meta[1] or (ARGV[2] ~= '' and meta[1] ~= ARGV[2]) then return {'NUMBER', meta[1] or ''} end
local ids = {}
for i = 1, n do ids[i] = ARGV[FIRST + (i - 1) * PER_TASK] end
local known = get_fields('bodies', ids)
local max_size = tonumber(meta[2] or '')

-- What becomes of each is known before anything is written.
local priorities, metas, words, seen, held, left_out = {}, {}, nil, {}, {}, 0
local swaps, swap
for i = 1, n do
  local id, text, word = ids[i], ARGV[FIRST + (i - 1) * PER_TASK + 1], nil
  local priority = tonumber(text)
  if known[i] or seen[id] then word = 'D'
  elseif not priority then
    local m = cjson.decode(text)
    priority, metas[i] = m.p, m
    if m.u then
-- Included here, and below, since to make their functions takes time that most calls need not spend.
--@include holder
      local holder, is_over = held[m.u], false
      if not holder then holder, is_over = holder_of(m.u) end
      if m.db then
--@include absorb
        local given = absorbed_before(id)
        if given then word = 'R:' .. given
        elseif holder and (seen[holder] == 'open' or (not seen[holder] and can_absorb(holder))) then
          word = 'R:' .. holder
          swap, swaps = absorb, swaps or {}
          swaps[#swaps + 1] = {i, holder}
        end
      end
      if holder and not word then word = 'U:' .. holder
      elseif not word then held[m.u], m.is_over = id, is_over end
    end
    if m.dep and not word then
      if m.gone then return {'PARENT', id, m.gone, 0} end
      for _, parent in ipairs(m.far or {}) do
        local waiting = call('ZLEXCOUNT', Q .. 'children', '[' .. parent .. '>', '(' .. parent .. '?')
        if waiting >= CHILDREN_MAX then return {'PARENT', id, parent, waiting} end
      end
      local there = get_fields('bodies', m.dep)
      for j = 1, #m.dep do
        local parent = m.dep[j]
        if not there[j] and not seen[parent] then return {'PARENT', id, parent, 0} end
        local waiting = call('ZLEXCOUNT', Q .. 'children', '[' .. parent .. '>', '(' .. parent .. '?')
        if waiting >= CHILDREN_MAX then return {'PARENT', id, parent, waiting} end
      end
    end
  end
  priorities[i] = priority
  if word then
    words = words or {}
    words[i] = word
    left_out = left_out + 1
  else seen[id] = metas[i] and metas[i].us and not metas[i].dep and 'open' or 'new' end
end
-- Only what is new needs room: a call that is sent again because its answer was lost does not find the queue full of its
-- own tasks.
if max_size and left_out < n then
--@include depth
  if depth + n - left_out > max_size then return {'FULL', depth, max_size} end
end

-- The first write may be refused for lack of memory: then nothing at all was written.
local seq = call('HINCRBY', Q .. 'counters', 'seq', n) - n
local bodies, pending, scheduled, blocked, waiting, accepted, keyed = {}, {}, {}, {}, {}, {}, {}
local created = '|' .. now_ms .. '|'
for i = 1, n do
  if not (words and words[i]) then
    local id, m, due = ids[i], metas[i], nil
    local place = string.format('%.0f', priorities[i] * PRIORITY_BAND + seq + i)
    local zset, score = pending, place
    if m then
      if m.at and m.at > now then due = m.at elseif m.d and m.d > 0 then due = now + m.d end
      if m.db then due = now + m.db end
      if m.u then keyed[#keyed + 1] = i end
      if m.x then call('ZADD', Q .. 'expiries', string.format('%.0f', now + m.x), id) end
      if due then zset, score = scheduled, string.format('%.0f', due) end
      if m.dep then
        zset, score = blocked, place
        waiting[#waiting + 1] = {i, due}
      end
    end
    bodies[#bodies + 1] = id
    bodies[#bodies + 1] = place .. created .. ARGV[FIRST + (i - 1) * PER_TASK + 2]
    zset[#zset + 1] = score
    zset[#zset + 1] = id
    accepted[#accepted + 1] = id
  end
end
if #accepted > 0 then
  -- A place without a body is passed over; a body without a place would be there for ever.
  add_members('pending', pending)
  add_members('scheduled', scheduled)
  add_members('blocked', blocked)
  set_fields('bodies', bodies)
  for j = 1, #keyed do
    local id, m = ids[keyed[j]], metas[keyed[j]]
    call('HSET', Q .. 'unique', m.u, id)
    if m.us then call('HSET', Q .. 'until', id, m.u) end
    if m.uf then call('ZADD', Q .. 'locks', string.format('%.0f', now + m.uf), m.u)
    elseif m.is_over then call('ZREM', Q .. 'locks', m.u) end
  end
  wake()
  count('enqueued', #accepted)
  event('e', 'enqueued', 'i', table.concat(accepted, ','))
end
if #waiting > 0 then
-- Included here, since to make its functions takes longer than to enqueue a task that waits for nobody.
--@include endings
--@include watches
  local watch, watched = nil, {}
  for w = 1, #waiting do
    local i, due = waiting[w][1], waiting[w][2]
    local id, m, live, bad, how = ids[i], metas[i], {}, nil, nil
    local there, records = get_fields('bodies', m.dep), get_fields('records', m.dep)
    for j = 1, #m.dep do
      local outcome = records[j] and string.match(records[j], '^[^|]*|(%l+)') or 'deleted'
      if there[j] and not records[j] then live[#live + 1] = m.dep[j]
      elseif outcome ~= 'ok' then bad, how = bad or m.dep[j], how or outcome end
    end
    if bad and m.on ~= 'run' then
      call('ZREM', Q .. 'blocked', id)
      give_up(id, call('HGET', Q .. 'bodies', id) or '', m.on, bad, how)
      tell_settled()
    elseif #live > 0 or m.far then
      if m.far then
        watch = watch or next_number()
        for j = 1, #m.far do
          live[#live + 1] = m.far[j]
          watched[#watched + 1] = m.far[j]
        end
      end
      wait_for(id, live, m.on, due and string.format('%.0f', due) or '', m.far and watch)
    else
      unblock(id, due)
      settled.unblocked = {} -- nobody saw it blocked
    end
  end
  ask_for(watched, watch, false)
end
if not words then return {'OK'} end
if swaps then
  local holders = {}
  for s = 1, #swaps do
    local i, holder = swaps[s][1], swaps[s][2]
    local place = string.format('%.0f', priorities[i] * PRIORITY_BAND + seq + i)
    swap(holder, ids[i], metas[i], place, ARGV[FIRST + (i - 1) * PER_TASK + 2])
    holders[s] = holder
  end
  wake()
  count('replaced', #swaps)
  event('e', 'replaced', 'i', table.concat(holders, ','))
end
count('duplicates', n - #accepted - (swaps and #swaps or 0))
local reply = {'MIXED'}
for i = 1, n do reply[i + 1] = words[i] or 'A' end
return reply
