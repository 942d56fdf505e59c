-- cancel: ends tasks that are not wanted any more; a running one is asked to stop.
--
-- ARGV  1 now
--       2 actor
--       3 op          id of the operation, shared by its calls
--       4 mode        cancel | kill
--       5 detail      JSON: by, why, mode
--       then ids
-- Reply {word...}  per task "CANCELLED", "ASKED:<worker id>", "IS:<terminal state>" or "GONE"
-- Moves blocked, scheduled, pending, retrying -> cancelled; marks running ones. Emits cancelled. Cost O(n log N).
--@include prelude
--@include prime
--@include selection
--@include audit
--@include endings
local WAITING = {'pending', 'scheduled', 'retrying', 'blocked'}
local words, cancelled, done = {}, {}, {}
for i = 6, #ARGV do
  local id = ARGV[i]
  local token = call('HGET', Q .. 'tokens', id)
  if token then
    call('HSET', Q .. 'cancels', id, ARGV[5])
    words[#words + 1] = 'ASKED:' .. (string.match(token, '~([^~|]*)|$') or '')
    done[#done + 1] = id
  elseif take_from(WAITING, id) then
    local body = call('HGET', Q .. 'bodies', id) or ''
    end_cancelled(id, body, '|', 'cancelled', trail_of(id).failures, 0, ARGV[5])
    words[#words + 1] = 'CANCELLED'
    cancelled[#cancelled + 1] = id
    done[#done + 1] = id
  else
    local state = state_of(id)
    words[#words + 1] = state and 'IS:' .. state or 'GONE'
  end
end
if #cancelled > 0 then
  count('cancelled', #cancelled)
  event('e', 'cancelled', 'i', table.concat(cancelled, ','), 'by', ARGV[2])
end
if #done > 0 then audit(ARGV[2], ARGV[3], ARGV[4], #done, ARGV[5], done) end
return words
