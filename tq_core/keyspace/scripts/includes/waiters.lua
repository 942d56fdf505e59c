-- waiters: tells those who wait for a task that it has ended, or is gone.
-- `waiters` has the clients of each task that is waited for; `answers:CLIENT` takes the ids, and goes when nobody reads it.
local ANSWERS_KEPT_MS = 60000

local function tell_waiters(id)
  local clients = call('HGET', Q .. 'waiters', id)
  if not clients then return end
  call('HDEL', Q .. 'waiters', id)
  for client in string.gmatch(clients, '[^ ]+') do
    call('RPUSH', Q .. 'answers:' .. client, id)
    call('PEXPIRE', Q .. 'answers:' .. client, ANSWERS_KEPT_MS)
  end
end
