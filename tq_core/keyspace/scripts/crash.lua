-- crash: records that a task running alone took its process down.
--
-- ARGV  1 now
--       2 id
--       3 token
--       4 detail      JSON: exit code or signal, host
--       5 alike       as in fail
-- Reply {"OK", "pending" | "failed" | "cancelled"}   the same for the same token
--       {"STALE"} another claim holds or ended it    {"GONE"} no such task
-- Moves running -> pending, failed as poison, or cancelled. Emits crashed, failed. Cost O(log N).
--@include prelude
--@include sound
--@include prime
--@include crash
--@include slots
local id, token = ARGV[2], ARGV[3]
local body = call('HGET', Q .. 'bodies', id)
if call('HGET', Q .. 'tokens', id) ~= token then
  if outcome_given(id, token) == 'crashed' then
    -- Where this crash ended the task, the final record begins with this token.
    local record = call('HGET', Q .. 'records', id) or ''
    local ended = string.find(record, token, 1, true) == 1 and string.match(record, '^[a-z]+', #token + 1)
    return {'OK', ended or 'pending'}
  end
  count('stale', 1)
  return {body and 'STALE' or 'GONE'}
end
stop_running(id, call('HEXISTS', Q .. 'cancels', id) == 0 and 'failed' or nil)
local word = after_crash(id, body, token, true, ARGV[4], ARGV[5] or '')
count('crashed', 1)
if word == 'pending' then wake() else count(word, 1) end
event('e', word == 'pending' and 'crashed' or word, 'i', id, 'r', word == 'failed' and 'poison' or 'crash')
return {'OK', word}
