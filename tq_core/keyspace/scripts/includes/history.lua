-- history: a task's trail (how often its runs ended badly) and its last attempts.
local ATTEMPTS_KEPT = 10

local function trail_of(id)
  local failures, crashes, alone, lost, unknown =
    string.match(call('HGET', Q .. 'trail', id) or '', '^(%d+)|(%d+)|(%d+)|(%d+)|(%d+)$')
  return {
    failures = tonumber(failures) or 0, crashes = tonumber(crashes) or 0, alone = tonumber(alone) or 0,
    lost = tonumber(lost) or 0, unknown = tonumber(unknown) or 0,
  }
end

local function keep_trail(id, trail)
  call('HSET', Q .. 'trail', id,
    trail.failures .. '|' .. trail.crashes .. '|' .. trail.alone .. '|' .. trail.lost .. '|' .. trail.unknown)
end

-- `token` ends with the separator; "|" for none.
local function note_attempt(id, token, outcome, attempt, duration_ms, detail)
  local line = now_ms .. '|' .. token .. outcome .. '|' .. attempt .. '|' .. duration_ms .. '|' .. detail
  local old = call('HGET', Q .. 'attempts', id)
  if old then
    local _, lines = string.gsub(old, '\n', '\n')
    if lines + 1 >= ATTEMPTS_KEPT then old = string.sub(old, string.find(old, '\n', 1, true) + 1) end
    line = old .. '\n' .. line
  end
  call('HSET', Q .. 'attempts', id, line)
end

-- The outcome and the attempt that this claim of the task was answered with before, or nil: a repeated write gets the
-- same answer.
local function outcome_given(id, token)
  local lines = call('HGET', Q .. 'attempts', id)
  if not lines then return nil end
  local _, stop = string.find(lines, '|' .. token, 1, true)
  if not stop then return nil end
  local outcome, attempt = string.match(lines, '^([a-z_]+)|(%d+)|', stop + 1)
  return outcome, tonumber(attempt)
end
