-- due_schedules: reads which schedules of a queue should have fired by now.
--
-- ARGV  1 now
--       2 limit
-- Reply {"OK", now ms, {name, due fire ms, spec or ""}...}   the longest due first
-- Moves none. Emits nothing. Cost O(log n + k); O(1) where nothing is due.
--@include prelude
local due = call('ZRANGEBYSCORE', Q .. 'fires', '-inf', now_ms, 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local reply = {'OK', now_ms}
for i = 1, #due, 2 do
  reply[#reply + 1] = {due[i], string.format('%.0f', tonumber(due[i + 1])), call('HGET', Q .. 'schedules', due[i]) or ''}
end
return reply
