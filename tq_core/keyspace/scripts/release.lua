-- release: gives claimed tasks back unharmed; no attempt is counted.
--
-- ARGV  1 now
--       2 kind        unstarted: to the place they had | unknown: no handler for this type, again after a delay
--       3 delay_ms    unknown only
--       4 unknown_max after so many the task is failed, reason unknown_type
--       then 2 a task: id, token
-- Reply {word...}  per task "pending" "retrying" "failed" "cancelled", or "S" when this token does not hold it
-- Moves running -> pending, retrying, failed or cancelled. Emits released, failed. Cost O(n log N).
--@include prelude
--@include sound
--@include prime
--@include endings
--@include slots
local kind, released, stale, words = ARGV[2], {}, 0, {}
for i = 5, #ARGV, 2 do
  local id, token = ARGV[i], ARGV[i + 1]
  local word = 'S'
  if call('HGET', Q .. 'tokens', id) == token then
    local body = call('HGET', Q .. 'bodies', id)
    stop_running(id)
    local asked = call('HGET', Q .. 'cancels', id)
    if asked then
      word = 'cancelled'
      end_cancelled(id, body, '|', 'cancelled', trail_of(id).failures, 0, asked)
      count('cancelled', 1)
      event('e', 'cancelled', 'i', id)
    elseif kind == 'unknown' then
      local trail = trail_of(id)
      trail.unknown = trail.unknown + 1
      keep_trail(id, trail)
      local detail = '{"type":"UnknownTaskTypeError","message":"no worker of this queue knows this task type"}'
      if trail.unknown >= tonumber(ARGV[4]) then
        word = 'failed'
        note_attempt(id, token, 'unknown_type', trail.failures, 0, detail)
        end_failed(id, body, token, 'unknown_type', trail.failures, 0, detail, '||' .. detail)
        count('failed', 1)
        event('e', 'failed', 'i', id, 'r', 'unknown_type')
      else
        word = 'retrying'
        may_expire(id)
        call('ZADD', Q .. 'retrying', string.format('%.0f', now + tonumber(ARGV[3])), id)
        released[#released + 1] = id
      end
    else
      word = 'pending'
      put_back(id, body)
      released[#released + 1] = id
    end
  else stale = stale + 1 end
  words[#words + 1] = word
end
if #released > 0 then
  wake()
  count('released', #released)
  event('e', 'released', 'i', table.concat(released, ','), 'r', kind)
end
count('stale', stale)
return words
