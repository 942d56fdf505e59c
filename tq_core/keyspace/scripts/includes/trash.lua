-- trash: keeps what an operation deletes or ends, all of it, so that undo can put it back for a while.
-- trash: "OP id" -> lengths and values of: how the task left (deleted, cancelled, failed), state, score, end (ms),
-- waits, parents, body, record, trail, attempts, group, expiry, key of until; and "OP !group" -> what is known of a group of its failed tasks.
-- trashed: the same names at score 0, so that an operation is a range. operations: OP -> when it is forgotten.
--@include room
--@include chunks
--@include body
--@include endings
--@include packed
local KEEP_TRASH_MS = 900000
local trash = {op = nil, until_ms = 0, fields = {}, names = {}, groups = {}, n = 0}

local function throw(name, values)
  name = trash.op .. ' ' .. name
  table.insert(trash.fields, name)
  table.insert(trash.fields, pack(values))
  table.insert(trash.names, 0)
  table.insert(trash.names, name)
end

-- Until when it may start, and the unique key that its claim frees: both only of tasks that have not ended.
local function limits_of(id)
  return call('ZSCORE', Q .. 'expiries', id) or '', call('HGET', Q .. 'until', id) or ''
end

-- A task that ends, before anything of it is changed; `parent`: one that it no longer waits for, since that has ended.
local function keep_ended(id, how, state, score, parent)
  if not trash.op then return end
  local parents = state == 'blocked' and beyond('parents', id) or {}
  parents[#parents + 1] = parent
  throw(id, {how, state, score, now_ms, state == 'blocked' and call('HGET', Q .. 'waits', id) or '',
    table.concat(parents, '>'), place_of(call('HGET', Q .. 'bodies', id)), '', '', '', '', limits_of(id)})
  trash.n = trash.n + 1
end

-- Tasks that are deleted, before anything of them is.
local function keep_deleted(ids, states, scores)
  if not trash.op then return end
  local bodies, records, trails = get_fields('bodies', ids), get_fields('records', ids), get_fields('trail', ids)
  local attempts, grouped, before = get_fields('attempts', ids), get_fields('grouped', ids), {}
  if call('HEXISTS', Q .. 'operated', trash.op) == 1 then
    for i = 1, #ids do before[i] = trash.op .. ' ' .. ids[i] end
    before = get_fields('trash', before)
  end
  for i = 1, #ids do
    local is_blocked, group = states[i] == 'blocked', grouped[i]
    if group and not trash.groups[group] then
      trash.groups[group] = true
      throw('!' .. group, {call('HGET', Q .. 'groups', group) or ''})
    end
    if bodies[i] and before[i] then
      -- This operation ended it before, by deleting a parent of it.
      local v = values_of(before[i])
      throw(ids[i], {'deleted', v[2], v[3], now_ms, v[5], v[6], bodies[i], '', trails[i] or '', attempts[i] or '', '', v[12] or '', v[13] or ''})
      trash.n = trash.n + 1
    elseif bodies[i] then
      throw(ids[i], {'deleted', states[i], scores[i], now_ms,
        is_blocked and call('HGET', Q .. 'waits', ids[i]) or '',
        is_blocked and table.concat(beyond('parents', ids[i]), '>') or '',
        bodies[i], records[i] or '', trails[i] or '', attempts[i] or '', group or '', limits_of(ids[i])})
      trash.n = trash.n + 1
    end
  end
end

-- From here on is kept what the operation takes, unless the queue keeps no trash or memory is full.
local function open_trash(op)
  local keep_ms = tonumber(call('HGET', Q .. 'meta', 'keep_trash_ms') or '') or KEEP_TRASH_MS
  if not has_room or keep_ms <= 0 then return end
  trash.op, trash.until_ms = op, string.format('%.0f', now + keep_ms)
  keep_child = function(child, how, parent)
    keep_ended(child, how, 'blocked', call('ZSCORE', Q .. 'blocked', child) or '0', parent)
  end
end

-- Writes down what was kept; returns of how many tasks.
local function close_trash(actor, action, detail)
  if trash.n == 0 then return 0 end
  set_fields('trash', trash.fields)
  add_members('trashed', trash.names)
  call('ZADD', Q .. 'operations', trash.until_ms, trash.op)
  call('HSETNX', Q .. 'operated', trash.op, pack({now_ms, action, actor, detail}))
  return trash.n
end
