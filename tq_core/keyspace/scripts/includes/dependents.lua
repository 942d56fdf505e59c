-- dependents: tasks that wait for others, their parents, and what the end of a parent does to them.
-- `children` holds "parent>child" and `parents` "child>parent", so each side is found by its prefix: no id holds ">", and
-- "?" is the character after it. `waits` says of a blocked task "policy|due ms or nothing". A task waits only for tasks
-- that have not ended: the end of one settles its children in the same step.
-- A parent of another queue stands in the same sets; its own queue keeps in `watchers` who wants to know of its end, and
-- tells it by the outbox. `waits` then ends with "|watch": the number of the call that made the edges, so that word of an
-- earlier life of the parent, which was requeued since, settles nothing that began later.
--@include outbox
local TOLD_MAX = 200
local is_awaited
local settled = {unblocked = {}, failed = {}, cancelled = {}}
-- Ends a task that will not run because of its parent; set by endings, since a success needs none.
local give_up
-- Called before a task gives up, with its end and its parent; set by trash.
local keep_child

local function beyond(edges, id)
  local found = call('ZRANGEBYLEX', Q .. edges, '[' .. id .. '>', '(' .. id .. '?')
  for i = 1, #found do found[i] = string.sub(found[i], #id + 2) end
  return found
end

local function wait_for(id, parents, policy, due_ms, watch)
  local up, down = {}, {}
  for i = 1, #parents do
    up[i * 2 - 1], up[i * 2] = 0, id .. '>' .. parents[i]
    down[i * 2 - 1], down[i * 2] = 0, parents[i] .. '>' .. id
  end
  call('ZADD', Q .. 'parents', unpack(up))
  call('ZADD', Q .. 'children', unpack(down))
  call('HSET', Q .. 'waits', id, policy .. '|' .. due_ms .. (watch and '|' .. watch or ''))
  is_awaited = true
end

-- Takes a task that leaves `blocked` out of all that says what it waits for.
local function stop_waiting(id)
  local parents = beyond('parents', id)
  for i = 1, #parents do call('ZREM', Q .. 'children', parents[i] .. '>' .. id) end
  call('ZREMRANGEBYLEX', Q .. 'parents', '[' .. id .. '>', '(' .. id .. '?')
  call('HDEL', Q .. 'waits', id)
end

-- To the place it was enqueued at, or to its due time where that is still to come.
local function unblock(id, due_ms)
  local place = call('ZSCORE', Q .. 'blocked', id)
  call('ZREM', Q .. 'blocked', id)
  if due_ms and due_ms > now then call('ZADD', Q .. 'scheduled', string.format('%.0f', due_ms), id)
  else call('ZADD', Q .. 'pending', place, id) end
  table.insert(settled.unblocked, id)
end

local function tell_settled()
  for fate, ids in pairs(settled) do
    if #ids > 0 then
      if fate == 'unblocked' then wake() else count(fate, #ids) end
      event('e', fate, 'i', table.concat(ids, ',', 1, math.min(#ids, TOLD_MAX)), 'n', #ids,
        'r', fate == 'unblocked' and 'parents_ended' or 'parent_failed')
      settled[fate] = {}
    end
  end
end

-- `how` a parent ended: completed | failed | cancelled | deleted. A child that gives up is a parent that ended too; the
-- list keeps a chain of any length from being a recursion of that depth. Of a parent of another queue, only those
-- children are settled whose watch is from `first` to `last`.
local ended = {}
local function settle(parent, how, first, last)
  if is_awaited == nil then is_awaited = call('EXISTS', Q .. 'children', Q .. 'watchers') > 0 end
  if not is_awaited then return end
  ended[#ended + 1] = {parent, how, first, last}
  if #ended > 1 then return end
  local at = 1
  while ended[at] do
    local id, word, from, to = unpack(ended[at], 1, 4)
    for _, child in ipairs(beyond('children', id)) do
      local policy, due_ms, watch = string.match(call('HGET', Q .. 'waits', child) or '', '^(%l+)|(%d*)|?(%d*)')
      local number = tonumber(watch or '') or 0
      if not from or (number >= from and number <= to) then
        call('ZREM', Q .. 'parents', child .. '>' .. id)
        if from then call('ZREM', Q .. 'children', id .. '>' .. child) end
        if word ~= 'completed' and policy ~= 'run' then
          if keep_child then keep_child(child, policy == 'skip' and 'cancelled' or 'failed', id) end
          stop_waiting(child)
          call('ZREM', Q .. 'blocked', child)
          give_up(child, call('HGET', Q .. 'bodies', child) or '', policy, id, word)
        elseif call('ZLEXCOUNT', Q .. 'parents', '[' .. child .. '>', '(' .. child .. '?') == 0 then
          call('HDEL', Q .. 'waits', child)
          unblock(child, tonumber(due_ms))
        end
      end
    end
    if not from then
      call('ZREMRANGEBYLEX', Q .. 'children', '[' .. id .. '>', '(' .. id .. '?')
      local watchers = call('HGET', Q .. 'watchers', id)
      if watchers then
        for queue, watch in string.gmatch(watchers, '([^ ]+) (%d+)') do
          post('ended', {to = queue, parent = id, how = word, last = tonumber(watch)})
        end
        call('HDEL', Q .. 'watchers', id)
      end
    end
    at = at + 1
  end
  ended = {}
  tell_settled()
end
