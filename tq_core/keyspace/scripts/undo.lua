-- undo: puts back what an operation deleted, cancelled or made give up: state and turn, history, groups, parents.
--
-- ARGV  1 now
--       2 actor
--       3 op          id of this operation, shared by its calls
--       4 detail      JSON: by, why, undid
--       5 undone      the operation that is undone
--       6 after       the last id that the call before looked at; "" to begin
--       7 limit       tasks a call
--       8 force       1: tasks whose parents cannot be put back are put back all the same
--       then ids      only these; they come back from the queue that they were moved to
-- Reply {"OK", restored ids, words, last, n deferred, questions}   words: one for each task that stays in the trash, "<id> IS:<state>"
--        it is there again or went on, "<id> GONE" it was cancelled and is gone, "<id> U:<id that holds its unique key>";
--        last: the last id that was looked at, "" at the end; deferred: tasks whose parents come first, for another round;
--        questions: messages about parents in other queues, to be told when all queues of the operation are done
--       {"GONE"}      there is no such operation, or it was kept long enough
-- Moves nothing, cancelled, failed -> the state the task was in; a blocked one whose parents have ended meanwhile goes on or
-- gives up, as it would have. Emits restored, unblocked, failed, cancelled. Cost O(n log N).
--@include prelude
--@include sound
--@include chunks
--@include body
--@include selection
--@include audit
--@include holder
--@include unique_mode
--@include endings
--@include packed
--@include foreign
--@include watches
local undone = ARGV[5]
local until_ms = call('ZSCORE', Q .. 'operations', undone)
if not until_ms or tonumber(until_ms) <= now then return {'GONE'} end
-- First write: refused whole when memory is full, since what is put back needs some.
call('HINCRBY', Q .. 'counters', 'seq', 0)
local TERMINAL = {completed = true, failed = true, cancelled = true}
local SECONDS_A_DAY = 86400
local day = math.floor(now / 1000 / SECONDS_A_DAY)
local after = ARGV[6] == '' and '[' .. undone .. ' "' or '(' .. undone .. ' ' .. ARGV[6]
local to = '(' .. undone .. '!'
local names = {}
if #ARGV == 8 then names = call('ZRANGEBYLEX', Q .. 'trashed', after, to, 'LIMIT', 0, tonumber(ARGV[7])) end
for i = 9, #ARGV do
  local name = undone .. ' ' .. ARGV[i]
  if call('ZSCORE', Q .. 'trashed', name) then names[#names + 1] = name end
end
local packed = get_fields('trash', names)

local restored, words, deleted, left, waiting = {}, {}, 0, {}, {}

-- Why a task cannot be put back, or nil.
local function obstacle(task)
  local body = call('HGET', Q .. 'bodies', task.id)
  if task.how == 'deleted' then
    if body then return 'IS:' .. (state_of(task.id) or 'there') end
  elseif not body then return 'GONE'
  elseif place_of(body) ~= place_of(task.body) or call('ZSCORE', Q .. task.how, task.id) ~= task.ended then
    -- A requeue gives a new place, and whatever ends a task again a new time.
    return 'IS:' .. (state_of(task.id) or 'there')
  else task.body = body end
  task.key = TERMINAL[task.state] and '' or unique_key_of(task.body)
  local mode = task.key ~= '' and unique_mode_of(task.body)
  -- A key that is held for a time counts from the enqueue; one that a claim has freed is not taken again.
  if mode == 'for' or (mode == 'started' and task.key_until == '') then task.key = '' end
  local holder
  if task.key ~= '' then holder, task.is_over = holder_of(task.key) end
  if holder and holder ~= task.id then return 'U:' .. holder end
end

local function comes_later(task)
  for parent in string.gmatch(task.parents, '[^>]+') do
    if not left[parent] and call('ZSCORE', Q .. 'trashed', undone .. ' ' .. parent) then return true end
  end
end

-- Of parents in other queues it is asked anew how they are: what was told meanwhile found nobody waiting. Not at once: this
-- operation may have taken them too, and they are put back after this; should whoever does so die, the questions are put late.
local ASKED_AFTER_MS = 10000
local watches, watched = {}, {[true] = {}, [false] = {}}
local function block_again(task)
  local policy, due_ms = string.match(task.waits, '^(%l+)|(%d*)')
  local again = string.sub(task.waits, -1) == '+'
  local live, is_far, bad, how = {}, false, nil, nil
  for parent in string.gmatch(task.parents, '[^>]+') do
    local record = call('HGET', Q .. 'records', parent)
    if is_foreign(parent) then
      is_far = true
      live[#live + 1] = parent
      table.insert(watched[again], parent)
    elseif record then
      local outcome = string.match(record, '^[^|]*|(%l+)') or 'failed'
      if outcome ~= 'ok' then bad, how = bad or parent, how or outcome end
    elseif call('HEXISTS', Q .. 'bodies', parent) == 1 then live[#live + 1] = parent
    else bad, how = bad or parent, how or 'deleted' end
  end
  if bad and policy ~= 'run' then
    give_up(task.id, task.body, policy or 'fail', bad, how)
    return
  end
  call('ZADD', Q .. 'blocked', task.score, task.id)
  -- A number for each kind of question: by it is known who is settled by the answer.
  if is_far then watches[again] = watches[again] or next_number() end
  if #live > 0 then wait_for(task.id, live, policy or 'fail', due_ms or '', is_far and watches[again] .. (again and '+' or ''))
  else unblock(task.id, tonumber(due_ms or '')) end
end

local function put_in_group(id, group)
  local facts = values_of(call('HGET', Q .. 'trash', undone .. ' !' .. group) or '')[1]
  local known = call('HGET', Q .. 'groups', group)
  if not known then
    call('HSET', Q .. 'groups', group, facts or (now_ms .. '|' .. now_ms .. '|?|error||{}'))
  elseif facts then
    local first, rest = string.match(known, '^(%d+)(|.*)$')
    local older = tonumber(string.match(facts, '^%d+') or '')
    if first and older and older < tonumber(first) then
      call('HSET', Q .. 'groups', group, string.format('%.0f', older) .. rest)
    end
  end
  call('HSET', Q .. 'grouped', id, group)
  call('ZADD', Q .. 'alike', 0, group .. ' ' .. id)
end

local function restore(task)
  local id = task.id
  if task.how == 'deleted' then
    call('HSET', Q .. 'bodies', id, task.body)
    if task.record ~= '' then call('HSET', Q .. 'records', id, task.record) end
    if task.trail ~= '' then call('HSET', Q .. 'trail', id, task.trail) end
    if task.attempts ~= '' then call('HSET', Q .. 'attempts', id, task.attempts) end
    if task.group ~= '' then put_in_group(id, task.group) end
    deleted = deleted + 1
  else
    call('ZREM', Q .. task.how, id)
    call('HDEL', Q .. 'records', id)
    if task.how == 'failed' then leave_groups({id}) end
  end
  if task.key ~= '' then
    call('HSET', Q .. 'unique', task.key, id)
    if task.is_over then call('ZREM', Q .. 'locks', task.key) end
    if task.key_until ~= '' then call('HSET', Q .. 'until', id, task.key_until) end
  end
  if task.expiry ~= '' then call('ZADD', Q .. 'expiries', task.expiry, id) end
  if #ARGV > 8 then
    -- It came back from another queue, and is not to come again (arrive.lua).
    call('HSET', Q .. 'arrived:' .. day, id .. ' ' .. undone, place_of(task.body))
    call('EXPIRE', Q .. 'arrived:' .. day, 2 * SECONDS_A_DAY)
  end
  if task.state == 'blocked' then block_again(task)
  else call('ZADD', Q .. task.state, task.score, id) end
  call('HDEL', Q .. 'trash', task.name)
  call('ZREM', Q .. 'trashed', task.name)
  restored[#restored + 1] = id
end

for i = 1, #names do
  local v = values_of(packed[i] or '')
  local task = {
    name = names[i], id = string.match(names[i], '[^ ]*$'), how = v[1], state = v[2], score = v[3], ended = v[4],
    waits = v[5], parents = v[6], body = v[7], record = v[8], trail = v[9], attempts = v[10], group = v[11],
    expiry = v[12], key_until = v[13],
  }
  waiting[i] = task
end
local last = #ARGV == 8 and waiting[tonumber(ARGV[7])] and waiting[#waiting].id or ''
-- Parents before their children: nearly always they are in that order already, so one round does it.
local is_moving = true
while #waiting > 0 and is_moving do
  local later = {}
  is_moving = false
  for i = 1, #waiting do
    local task = waiting[i]
    local why = not task.key_until and 'GONE' or obstacle(task)
    if why then
      words[#words + 1] = task.id .. ' ' .. why
      left[task.id] = true
      is_moving = true
    elseif ARGV[8] ~= '1' and comes_later(task) then later[#later + 1] = task
    else
      restore(task)
      is_moving = true
    end
  end
  waiting = later
end
tell_settled()
local questions = ask_for(watched[false], watches[false], false, ASKED_AFTER_MS)
for _, message in ipairs(ask_for(watched[true], watches[true], true, ASKED_AFTER_MS)) do questions[#questions + 1] = message end
if call('ZLEXCOUNT', Q .. 'trashed', '[' .. undone .. ' "', to) == 0 then
  local groups = call('ZRANGEBYLEX', Q .. 'trashed', '[' .. undone .. ' ', to)
  remove_fields('trash', groups)
  remove_members('trashed', groups)
  call('ZREM', Q .. 'operations', undone)
  call('HDEL', Q .. 'operated', undone)
end
if #restored > 0 then
  wake()
  count('restored', deleted)
  event('e', 'restored', 'i', table.concat(restored, ','), 'by', ARGV[2])
  audit(ARGV[2], ARGV[3], 'undo', #restored, ARGV[4], restored)
end
return {'OK', restored, words, last, #waiting, questions}
