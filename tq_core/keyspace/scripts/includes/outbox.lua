-- outbox: what is to be told to other queues, written in the step that makes it true; see tq_core.roles.outbox.
-- Each message is told at least once by whoever comes first, and taken out afterwards: all kinds must bear repetition.
local function next_number()
  return call('HINCRBY', Q .. 'counters', 'posted', 1)
end

-- `message`: what its kind needs. Gets a number, so that no two are alike, and the time, so that a stuck one is noticed.
local function post(kind, message)
  message.kind, message.id, message.at = kind, next_number(), now
  call('ZADD', Q .. 'outbox', now_ms, cjson.encode(message))
  call('ZADD', Q .. 'posted', 0, '0')
end
