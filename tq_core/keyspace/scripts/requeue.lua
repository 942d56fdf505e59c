-- requeue: runs ended tasks again, from the start: counters reset, at the end of their priority; history kept.
--
-- ARGV  1 now
--       2 actor
--       3 op          id of the operation, shared by its calls
--       4 detail      JSON: by, why
--       5 state       failed, completed or cancelled, to take the oldest of it; "" for named ids
--       6 until_ms    only what ended by then, so that a loop ends while tasks fail again; 0 with named ids: any time
--       7 limit       with a state
--       8 offset      with a state: how many the calls before left where they were; with a group: the last id they saw
--       9 group       with state failed: only the tasks that failed alike, in order of id; "" for all
--       then ids
-- Reply {"OK", requeued ids, words, last}   words: one for each task left where it was, "<id> IS:<state>", "<id> GONE"
--        or "<id> U:<id that holds its unique key>"; last: with a group the last id that was looked at, "" at its end
-- Moves failed, completed, cancelled -> pending, or blocked where a parent has not ended. Parents that have ended, however,
-- count as done: a person decided. Those of other queues are asked, and it waits until they have answered. Emits requeued. Cost O(n log N).
--@include prelude
--@include sound
--@include selection
--@include audit
--@include history
--@include holder
--@include unique
--@include unique_mode
--@include groups
--@include dependents
--@include foreign
--@include watches
-- First write: refused whole when memory is full, since a requeued task needs some. A queue that never had a task has
-- no counters, and gets none by being asked.
if call('EXISTS', Q .. 'counters') == 1 then call('HINCRBY', Q .. 'counters', 'seq', 0) end
local ids, from, group, last = {}, ARGV[5], ARGV[9], ''
if group ~= '' then
  local after, to = range_of(group)
  if ARGV[8] ~= '' then after = '(' .. group .. ' ' .. ARGV[8] end
  local members = call('ZRANGEBYLEX', Q .. 'alike', after, to, 'LIMIT', 0, tonumber(ARGV[7]))
  for i = 1, #members do
    last = string.match(members[i], '[^ ]*$')
    local failed_ms = call('ZSCORE', Q .. 'failed', last)
    if failed_ms and tonumber(failed_ms) <= tonumber(ARGV[6]) then ids[#ids + 1] = last end
  end
elseif from ~= '' then
  ids = call('ZRANGEBYSCORE', Q .. from, '-inf', ARGV[6], 'LIMIT', tonumber(ARGV[8]), tonumber(ARGV[7]))
else
  for i = 10, #ARGV do ids[#ids + 1] = ARGV[i] end
end
local TERMINAL = {failed = true, cancelled = true, completed = true}
local moved, words, left, parents_of = {}, {}, {}, {}
local until_ms = tonumber(ARGV[6])
for i = 1, #ids do
  local id = ids[i]
  local state = from ~= '' and from or state_of(id)
  local body = call('HGET', Q .. 'bodies', id)
  local key = body and unique_key_of(body) or ''
  local holder, is_over
  if key ~= '' then holder, is_over = holder_of(key) end
  if not state or not body then words[#words + 1] = id .. ' GONE'
  elseif not TERMINAL[state] then words[#words + 1] = id .. ' IS:' .. state
  elseif from == '' and until_ms > 0 and tonumber(call('ZSCORE', Q .. state, id)) > until_ms then
    words[#words + 1] = id .. ' IS:' .. state
  elseif holder and holder ~= id then words[#words + 1] = id .. ' U:' .. holder
  else
    -- A key that is held for a time counts from the enqueue, and is not taken again.
    local mode = key ~= '' and unique_mode_of(body)
    if mode == 'finished' or mode == 'started' then
      call('HSET', Q .. 'unique', key, id)
      if is_over then call('ZREM', Q .. 'locks', key) end
      if mode == 'started' then call('HSET', Q .. 'until', id, key) end
    end
    local place, moved_body = replaced(body, call('HINCRBY', Q .. 'counters', 'seq', 1))
    call('HSET', Q .. 'bodies', id, moved_body)
    call('HDEL', Q .. 'records', id)
    call('HDEL', Q .. 'trail', id)
    call('ZREM', Q .. state, id)
    call('ZADD', Q .. 'pending', place, id)
    note_attempt(id, '|', 'requeued', 0, 0, ARGV[4])
    if state == 'failed' then left[#left + 1] = id end
    moved[#moved + 1] = id
    parents_of[id] = depends_on(moved_body)
  end
end
leave_groups(left)
-- Nobody waits for a task that had ended, so a circle could only be made here: a task waits again for one of this call
-- only if that one has found its own parents before.
local begun, found, watch, watched = {}, {}, nil, {}
local function wait_again(id)
  begun[id] = true
  local live, is_far = {}, false
  for _, parent in ipairs(parents_of[id]) do
    if is_foreign(parent) then
      is_far = true
      live[#live + 1] = parent
      watched[#watched + 1] = parent
    end
    if parents_of[parent] and not begun[parent] then wait_again(parent) end
    if (found[parent] or not parents_of[parent]) and call('HEXISTS', Q .. 'bodies', parent) == 1
      and call('HEXISTS', Q .. 'records', parent) == 0 then live[#live + 1] = parent end
  end
  if #live > 0 then
    local place = call('ZSCORE', Q .. 'pending', id)
    call('ZREM', Q .. 'pending', id)
    call('ZADD', Q .. 'blocked', place, id)
    local _, policy = depends_on(call('HGET', Q .. 'bodies', id))
    if is_far then watch = watch or next_number() end
    wait_for(id, live, policy, '', is_far and watch .. '+')
  end
  found[id] = true
end
for i = 1, #moved do
  if not begun[moved[i]] then wait_again(moved[i]) end
end
ask_for(watched, watch, true)
if #moved > 0 then
  wake()
  count('requeued', #moved)
  event('e', 'requeued', 'i', table.concat(moved, ','), 'by', ARGV[2])
  audit(ARGV[2], ARGV[3], 'requeue', #moved, ARGV[4], moved)
end
return {'OK', moved, words, last}
