-- schedules: reads a queue's schedules, and the time by which their next fires are worked out.
--
-- ARGV  1 now
--       2 name        only this one; "" for all
-- Reply {"OK", now ms, {name, spec, next fire ms or "", paused or "", seen ms or "", last fire ms or "", fires or ""}...}
-- Moves none. Emits nothing. Cost O(schedules).
--@include prelude
local names, reply = {ARGV[2]}, {'OK', now_ms}
if ARGV[2] == '' then names = call('HKEYS', Q .. 'schedules') end
for _, name in ipairs(names) do
  local spec = call('HGET', Q .. 'schedules', name)
  if spec then
    local at = call('ZSCORE', Q .. 'fires', name)
    local notes = call('HMGET', Q .. 'schedule_notes',
      'paused:' .. name, 'seen:' .. name, 'fired:' .. name, 'fires:' .. name)
    reply[#reply + 1] = {name, spec, at and string.format('%.0f', tonumber(at)) or '',
      notes[1] or '', notes[2] or '', notes[3] or '', notes[4] or ''}
  end
end
return reply
