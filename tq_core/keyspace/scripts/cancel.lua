-- cancel: ends tasks that are not wanted any more; a running one is asked to stop.
--
-- ARGV  1 now
--       2 actor
--       3 op          id of the operation, shared by its calls
--       4 mode        cancel | kill
--       5 detail      JSON: by, why, mode
--       then ids
-- Reply {"OK", words, n kept}   words: per task "CANCELLED", "ASKED:<worker id>", "IS:<terminal state>" or "GONE"; kept:
--        how many tasks undo can put back, with those that gave up since they waited for these
-- Moves blocked, scheduled, pending, retrying -> cancelled; marks running ones. Emits cancelled, and what
-- becomes of those that wait for them. Cost O(n log N).
--@include prelude
--@include sound
--@include room
--@include prime
--@include selection
--@include audit
--@include endings
--@include lines
--@include trash
open_trash(ARGV[3])
local WAITING = {'pending', 'scheduled', 'retrying', 'blocked'}
local words, cancelled, done, taken, queued = {}, {}, {}, {}, {}
-- All are taken out before the first is ended: a child that is named as well is cancelled, whatever its policy says.
for i = 6, #ARGV do
  local id = ARGV[i]
  local token = call('HGET', Q .. 'tokens', id)
  local state, score
  if not token then state, score = take_from(WAITING, id) end
  if token then
    call('HSET', Q .. 'cancels', id, ARGV[5])
    words[#words + 1] = 'ASKED:' .. (string.match(token, '~([^~|]*)|$') or '')
    done[#done + 1] = id
  elseif state then
    keep_ended(id, 'cancelled', state, score)
    if state == 'blocked' then stop_waiting(id) end
    if state == 'blocked' or state == 'pending' then queued[#queued + 1] = id end
    taken[id] = 'cancelled'
    words[#words + 1] = 'CANCELLED'
    cancelled[#cancelled + 1] = id
    done[#done + 1] = id
  else
    local other = taken[id] or state_of(id)
    words[#words + 1] = other and 'IS:' .. other or 'GONE'
  end
end
leave_all_lines(queued)
for i = 1, #cancelled do
  local id = cancelled[i]
  end_cancelled(id, call('HGET', Q .. 'bodies', id) or '', '|', 'cancelled', trail_of(id).failures, 0, ARGV[5])
end
if #cancelled > 0 then
  count('cancelled', #cancelled)
  event('e', 'cancelled', 'i', table.concat(cancelled, ','), 'by', ARGV[2])
end
if #done > 0 then audit(ARGV[2], ARGV[3], ARGV[4], #done, ARGV[5], done) end
return {'OK', words, close_trash(ARGV[2], ARGV[4], ARGV[5])}
