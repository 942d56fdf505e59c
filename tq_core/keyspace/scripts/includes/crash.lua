-- crash: what happens to a task whose process died while it ran.
-- A crash is no failure. The first one, in shared company, sends the task to run alone in a process of its own; when it
-- takes ALONE_MAX of those down as well, it is poison.
--@include endings
local ALONE_MAX = 2

local function after_crash(id, body, token, was_alone, detail, alike)
  local trail = trail_of(id)
  if was_alone then trail.alone = trail.alone + 1 else trail.crashes = trail.crashes + 1 end
  keep_trail(id, trail)
  note_attempt(id, token, 'crashed', trail.failures + 1, 0, detail)
  if call('HEXISTS', Q .. 'cancels', id) == 1 then
    end_cancelled(id, body, token, 'killed', trail.failures + 1, 0, call('HGET', Q .. 'cancels', id))
    return 'cancelled'
  elseif trail.alone >= ALONE_MAX then
    end_failed(id, body, token, 'poison', trail.failures + 1, 0, detail, alike)
    return 'failed'
  end
  put_back(id, body)
  return 'pending'
end
