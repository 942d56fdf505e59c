-- crash: records that a task running alone took its process down.
--
-- ARGV  1 now
--       2 id
--       3 token
--       4 detail      JSON: exit code or signal, host
-- Reply {"OK", "pending" | "failed" | "cancelled"}   {"STALE"}   {"GONE"}
-- Moves running -> pending, failed as poison, or cancelled. Emits crashed, failed. Cost O(log N).
--@include prelude
--@include prime
--@include crash
local id, token = ARGV[2], ARGV[3]
local body = call('HGET', Q .. 'bodies', id)
if call('HGET', Q .. 'tokens', id) ~= token then
  if outcome_given(id, token) then
    for _, state in ipairs({'pending', 'failed', 'cancelled'}) do
      if call('ZSCORE', Q .. state, id) then return {'OK', state} end
    end
  end
  count('stale', 1)
  return {body and 'STALE' or 'GONE'}
end
call('HDEL', Q .. 'tokens', id)
call('ZREM', Q .. 'running', id)
local word = after_crash(id, body, token, true, ARGV[4])
count('crashed', 1)
if word == 'pending' then wake() else count(word, 1) end
event('e', word == 'pending' and 'crashed' or word, 'i', id, 'r', word == 'failed' and 'poison' or 'crash')
return {'OK', word}
