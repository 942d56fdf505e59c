-- discard: deletes tasks and all that is kept of them; never a running one.
--
-- ARGV  1 now
--       2 actor
--       3 op          id of the operation, shared by its calls
--       4 action      discard | delete | purge, for the audit
--       5 detail      JSON: by, why
--       6 state       to take the first of it; "" for named ids
--       7 until_ms    with a state: only scores up to it (pending: all)
--       8 limit       with a state
--       then ids
-- Reply {"OK", n deleted, words}   words: one for each task left where it was, "<id> IS:running" or "<id> GONE"
-- Moves any state but running -> nothing. Emits discarded, and what becomes of those that wait
-- for them. Cost O(n log N).
--@include prelude
--@include prime
--@include selection
--@include audit
--@include endings
local STATES = {'failed', 'completed', 'cancelled', 'pending', 'retrying', 'scheduled', 'blocked'}
local ids, words = {}, {}
if ARGV[6] ~= '' then ids = take(ARGV[6], ARGV[7], tonumber(ARGV[8]))
else
  for i = 9, #ARGV do
    local id = ARGV[i]
    if take_from(STATES, id) then ids[#ids + 1] = id
    else words[#words + 1] = id .. ' ' .. (call('HEXISTS', Q .. 'tokens', id) == 1 and 'IS:running' or 'GONE') end
  end
end
if ARGV[6] == '' or ARGV[6] == 'failed' then leave_groups(ids) end
local waits = call('EXISTS', Q .. 'waits') == 1
for i = 1, #ids do
  if waits and call('HEXISTS', Q .. 'waits', ids[i]) == 1 then stop_waiting(ids[i]) end
end
forget(ids)
for i = 1, #ids do settle(ids[i], 'deleted') end
if #ids > 0 then
  count('discarded', #ids)
  event('e', 'discarded', 'i', table.concat(ids, ',', 1, math.min(#ids, 200)), 'n', #ids, 'by', ARGV[2])
  audit(ARGV[2], ARGV[3], ARGV[4], #ids, ARGV[5], ids)
end
return {'OK', #ids, words}
