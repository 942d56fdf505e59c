-- move: takes tasks out of the queue and leaves them, each under its new id, to be brought to another queue.
--
-- ARGV  1 now
--       2 actor
--       3 op          id of the operation, shared by its calls
--       4 detail      JSON: by, why, to
--       5 to          the queue that they go to
--       6 back_to     the operation whose move is undone: only tasks that are as they arrived go; "" for a move
--       then pairs: id, new id
-- Reply {"OK", words, n kept}   a word per task: MOVED, GONE, IS:<state>, STARTED (back only), WAITS (for other tasks),
--       AWAITED (other tasks wait for it); kept: how many can be moved back by undo
-- Moves pending, scheduled, retrying, failed or held by a limit -> nothing. Emits moved. Cost O(n log N).
-- The tasks lie in `leaving` until arrive.lua has them and told.lua takes the message out: a death in between repeats both.
--@include prelude
--@include sound
--@include selection
--@include audit
--@include lines
--@include trash
--@include outbox
--@include unique_mode
local A_MESSAGE = 20 -- payloads may be large
local STATES = {'pending', 'scheduled', 'retrying', 'failed', 'blocked'}
local SECONDS_A_DAY = 86400
local is_back = ARGV[6] ~= ''
local day = math.floor(now / 1000 / SECONDS_A_DAY)
-- Where a stranger's value is in the place of what is written last, nothing may be taken first (sound.lua).
for _, hash in ipairs({'leaving', 'moved:' .. day, 'trash', 'operated', 'until'}) do call('HEXISTS', Q .. hash, '') end
for _, zset in ipairs({'outbox', 'posted', 'trashed', 'operations', 'locks', 'expiries'}) do call('ZSCORE', Q .. zset, '') end
-- First write: refused whole when memory is full, since what is left needs some.
call('HINCRBY', Q .. 'counters', 'seq', 0)
if not is_back then open_trash(ARGV[3]) end

local function known_of(memory, id)
  return call('HGET', Q .. memory .. ':' .. day, id) or call('HGET', Q .. memory .. ':' .. (day - 1), id)
end

-- What the new queue does about its unique key: held, started, the end of a lock in ms, or nothing; frees the lock.
local function key_mode(id, state, body)
  local key = unique_key_of(body)
  if key == '' then return '' end
  local mode = unique_mode_of(body)
  if state == 'failed' then return mode == 'for' and '' or mode end
  if call('HGET', Q .. 'unique', key) ~= id then return '' end
  if mode ~= 'for' then
    return (mode == 'finished' or call('HEXISTS', Q .. 'until', id) == 1) and mode or ''
  end
  local until_ms = call('ZSCORE', Q .. 'locks', key) or ''
  call('ZREM', Q .. 'locks', key)
  return until_ms
end

local function obstacle(id, new_id)
  local body, state = call('HGET', Q .. 'bodies', id), state_of(id)
  -- A call that is sent again, since its answer was lost, gets the same answer.
  if not body then return known_of('moved', id) == new_id and 'MOVED' or 'GONE' end
  if state == 'running' or state == 'completed' or state == 'cancelled' then return 'IS:' .. state end
  if call('HEXISTS', Q .. 'waits', id) == 1 then return 'WAITS' end
  if call('ZLEXCOUNT', Q .. 'children', '[' .. id .. '>', '(' .. id .. '?') > 0
    or call('HEXISTS', Q .. 'watchers', id) == 1 then return 'AWAITED' end
  if is_back and known_of('arrived', id) ~= place_of(body) .. '|' .. (call('HGET', Q .. 'trail', id) or '') then
    return 'STARTED'
  end
end

local words, ids, states, scores, new_ids = {}, {}, {}, {}, {}
for i = 7, #ARGV, 2 do
  local id, new_id = ARGV[i], ARGV[i + 1]
  local word = obstacle(id, new_id)
  local state, score
  if not word then
    state, score = take_from(STATES, id)
    word = state and 'MOVED' or 'GONE'
  end
  words[#words + 1] = word
  if state then ids[#ids + 1], states[#ids + 1], scores[#ids + 1], new_ids[#ids + 1] = id, state, score, new_id end
end
local kept = 0
if #ids > 0 then
  keep_deleted(ids, states, scores)
  local bodies, trails, attempts = get_fields('bodies', ids), get_fields('trail', ids), get_fields('attempts', ids)
  local leaving, moved, left, pairs_ = {}, {}, {}, {}
  for i = 1, #ids do
    local id, state = ids[i], states[i]
    local is_timed = state == 'scheduled' or state == 'retrying'
    local expiry = tonumber(call('ZSCORE', Q .. 'expiries', id) or '')
    leaving[#leaving + 1] = new_ids[i]
    leaving[#leaving + 1] = pack({is_timed and state or 'pending', is_timed and scores[i] or '',
      expiry and string.format('%.0f', expiry % SET_ASIDE) or '', key_mode(id, state, bodies[i]), bodies[i],
      state ~= 'failed' and trails[i] or '', attempts[i] or ''})
    moved[#moved + 1], moved[#moved + 2] = id, new_ids[i]
    if state == 'failed' then left[#left + 1] = id end
    pairs_[#pairs_ + 1], pairs_[#pairs_ + 2] = id, new_ids[i]
    if #pairs_ == A_MESSAGE * 2 or i == #ids then
      post(is_back and 'return' or 'move',
        {to = ARGV[5], op = ARGV[3], by = ARGV[2], undid = is_back and ARGV[6] or nil, ids = pairs_})
      pairs_ = {}
    end
  end
  set_fields('leaving', leaving)
  set_fields('moved:' .. day, moved)
  call('EXPIRE', Q .. 'moved:' .. day, 2 * SECONDS_A_DAY)
  leave_groups(left)
  leave_all_lines(ids)
  forget(ids)
  count('moved_out', #ids)
  event('e', 'moved', 'i', table.concat(ids, ',', 1, math.min(#ids, 200)), 'n', #ids, 'by', ARGV[2], 'to', ARGV[5])
  audit(ARGV[2], ARGV[3], is_back and 'undo' or 'move', #ids, ARGV[4], ids)
  kept = close_trash(ARGV[2], 'move', ARGV[4])
end
return {'OK', words, kept}
