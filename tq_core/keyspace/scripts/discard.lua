-- discard: deletes tasks and all that is kept of them; never a running one. What it takes can be put back for a while.
--
-- ARGV  1 now
--       2 actor
--       3 op          id of the operation, shared by its calls
--       4 action      discard | delete | purge, for the audit
--       5 detail      JSON: by, why
--       6 state       to take the first of it, of blocked the last; with ids: those that are not in it are left; "" for any
--       7 until_ms    with a state: only scores up to it (pending, blocked: all, but not with ids)
--       8 limit       with a state; 0 with ids
--       9 keep        1: into the trash, unless memory is full; 0: for good
--       then ids
-- Reply {"OK", n deleted, words, n kept}   words: one for each task left where it was, "<id> IS:running" or "<id> GONE";
--        kept: how many tasks undo can put back, with those that gave up since they waited for these
-- Moves any state but running -> nothing. Emits discarded, and what becomes of those that wait
-- for them. Cost O(n log N).
--@include prelude
--@include sound
--@include room
--@include prime
--@include selection
--@include audit
--@include endings
--@include lines
--@include trash
local STATES = {'failed', 'completed', 'cancelled', 'pending', 'retrying', 'scheduled', 'blocked'}
if ARGV[9] == '1' then open_trash(ARGV[3]) end
local ids, words, states, scores = {}, {}, {}, {}
if ARGV[6] ~= '' and ARGV[8] ~= '0' then
  ids, scores = take(ARGV[6], ARGV[7], tonumber(ARGV[8]))
  for i = 1, #ids do states[i] = ARGV[6] end
else
  for i = 10, #ARGV do
    local id = ARGV[i]
    local state, score
    if ARGV[6] == '' then
      state, score = take_from(STATES, id)
    else
      local stands = call('ZSCORE', Q .. ARGV[6], id)
      if stands and tonumber(stands) <= tonumber(ARGV[7]) then state, score = take_from({ARGV[6]}, id) end
    end
    if state then ids[#ids + 1], states[#states + 1], scores[#scores + 1] = id, state, score
    else words[#words + 1] = id .. ' ' .. (call('HEXISTS', Q .. 'tokens', id) == 1 and 'IS:running' or 'GONE') end
  end
end
keep_deleted(ids, states, scores)
if ARGV[6] == '' or ARGV[6] == 'failed' then leave_groups(ids) end
local waits = call('EXISTS', Q .. 'waits') == 1
for i = 1, #ids do
  if waits and call('HEXISTS', Q .. 'waits', ids[i]) == 1 then stop_waiting(ids[i]) end
end
if ARGV[6] == '' or ARGV[6] == 'blocked' or ARGV[6] == 'pending' then leave_all_lines(ids) end
forget(ids)
for i = 1, #ids do settle(ids[i], 'deleted') end
if #ids > 0 then
  count('discarded', #ids)
  event('e', 'discarded', 'i', table.concat(ids, ',', 1, math.min(#ids, 200)), 'n', #ids, 'by', ARGV[2])
  audit(ARGV[2], ARGV[3], ARGV[4], #ids, ARGV[5], ids)
end
return {'OK', #ids, words, close_trash(ARGV[2], ARGV[4], ARGV[5])}
