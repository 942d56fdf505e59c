-- reclaim: returns tasks whose lease ran out: their worker is gone, or out of reach.
--
-- ARGV  1 now
--       2 limit       tasks a call
--       3 grace_ms    how long past its end a lease is left alone
-- Reply {"OK", reclaimed ids}
-- Moves running -> pending at the place they had, or cancelled where that was asked. Counts lost, never a failure.
-- Emits lost. Cost O(k log N).
--@include prelude
--@include sound
--@include prime
--@include endings
--@include slots
local ended = string.format('%.0f', now - tonumber(ARGV[3]))
local ids = call('ZRANGEBYSCORE', Q .. 'running', '-inf', ended, 'LIMIT', 0, tonumber(ARGV[2]))
local lost = {}
for i = 1, #ids do
  local id = ids[i]
  local token = call('HGET', Q .. 'tokens', id) or '|'
  local body = call('HGET', Q .. 'bodies', id)
  stop_running(id)
  if body then
    local trail = trail_of(id)
    trail.lost = trail.lost + 1
    keep_trail(id, trail)
    note_attempt(id, token, 'lost', trail.failures + 1, 0, '{"message":"the lease ran out: its worker vanished"}')
    local asked = call('HGET', Q .. 'cancels', id)
    if asked then
      end_cancelled(id, body, token, 'cancelled', trail.failures + 1, 0, asked)
      count('cancelled', 1)
      event('e', 'cancelled', 'i', id)
    else
      put_back(id, body)
      lost[#lost + 1] = id
    end
  else count('ghost', 1) end
end
if #lost > 0 then
  wake()
  count('lost', #lost)
  event('e', 'lost', 'i', table.concat(lost, ','))
end
return {'OK', lost}
