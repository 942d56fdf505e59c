-- enqueue: accepts new tasks, all or none of them when the queue is full.
--
-- ARGV  1 now
--       2 number      the queue's number that the ids carry; "" when all ids are chosen ones
--       then 3 a task:
--         id
--         meta        priority, or JSON {p: priority, d: delay ms, at: due ms, u: unique key}
--         tail        type|max_attempts|unique_key|options|payload (tq_core.keyspace.wire)
-- Reply {"OK"}                      every task was accepted
--       {"MIXED", word...}          per task "A" accepted, "D" this id exists, "U:<id>" its unique key is held
--       {"FULL", depth, max_size}   nothing was written
--       {"NUMBER", number or ""}    the queue has another number, or none yet; nothing was written
-- Moves nothing -> pending or scheduled. Emits enqueued. Cost O(n log N).
--@include prelude
--@include chunks
local FIRST, PER_TASK = 3, 3
local n = (#ARGV - FIRST + 1) / PER_TASK
local meta = call('HMGET', Q .. 'meta', 'number', 'max_size')
if not meta[1] or (ARGV[2] ~= '' and meta[1] ~= ARGV[2]) then return {'NUMBER', meta[1] or ''} end
local ids = {}
for i = 1, n do ids[i] = ARGV[FIRST + (i - 1) * PER_TASK] end
local known = get_fields('bodies', ids)
local max_size = tonumber(meta[2] or '')
if max_size then
  local depth, new = call('ZCARD', Q .. 'pending') + call('ZCARD', Q .. 'scheduled')
    + call('ZCARD', Q .. 'retrying') + call('ZCARD', Q .. 'blocked'), 0
  -- A call that is sent again because its answer was lost must not find the queue full of its own tasks.
  for i = 1, n do
    if not known[i] then new = new + 1 end
  end
  if new > 0 and depth + new > max_size then return {'FULL', depth, max_size} end
end

-- The first write may be refused for lack of memory: then nothing at all was written.
local seq = call('HINCRBY', Q .. 'counters', 'seq', n) - n
local bodies, pending, scheduled, accepted, words = {}, {}, {}, {}, nil
local seen = {}
local created = '|' .. now_ms .. '|'
for i = 1, n do
  local id, at = ids[i], FIRST + (i - 1) * PER_TASK
  local meta_text, word = ARGV[at + 1], nil
  local priority, due, unique = tonumber(meta_text), nil, nil
  if known[i] or seen[id] then word = 'D'
  elseif not priority then
    local m = cjson.decode(meta_text)
    priority = m.p
    if m.at and m.at > now then due = m.at elseif m.d and m.d > 0 then due = now + m.d end
    unique = m.u
    if unique then
      local holder = call('HGET', Q .. 'unique', unique)
      if holder then word = 'U:' .. holder else call('HSET', Q .. 'unique', unique, id) end
    end
  end
  if word then
    words = words or {}
    words[i] = word
  else
    seen[id] = true
    local place = string.format('%.0f', priority * PRIORITY_BAND + seq + i)
    bodies[#bodies + 1] = id
    bodies[#bodies + 1] = place .. created .. ARGV[at + 2]
    local zset = due and scheduled or pending
    zset[#zset + 1] = due and string.format('%.0f', due) or place
    zset[#zset + 1] = id
    accepted[#accepted + 1] = id
  end
end
if #accepted > 0 then
  set_fields('bodies', bodies)
  add_members('pending', pending)
  add_members('scheduled', scheduled)
  wake()
  count('enqueued', #accepted)
  event('e', 'enqueued', 'i', table.concat(accepted, ','))
end
if not words then return {'OK'} end
count('duplicates', n - #accepted)
local reply = {'MIXED'}
for i = 1, n do reply[i + 1] = words[i] or 'A' end
return reply
