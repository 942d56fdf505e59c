-- outbox: what is to be told to other queues, written in the step that makes it true; see tq_core.roles.outbox.
-- Each message is told at least once by whoever comes first, and taken out afterwards: all kinds must bear repetition.
local function next_number()
  return call('HINCRBY', Q .. 'counters', 'posted', 1)
end

-- `message`: what its kind needs. Gets a number, so that no two are alike, and the time, so that a stuck one is noticed.
-- With `delay_ms` it is told no sooner by those who come first; returns it as it stands there.
local function post(kind, message, delay_ms)
  message.kind, message.id, message.at = kind, next_number(), now
  local text = cjson.encode(message)
  call('ZADD', Q .. 'outbox', string.format('%.0f', now + (delay_ms or 0)), text)
  if not delay_ms then call('ZADD', Q .. 'posted', 0, '0') end
  return text
end
