-- fail: records a run that ended without a result, and decides what becomes of the task.
--
-- ARGV  1 now
--       2 id
--       3 token
--       4 verdict     retry: again if attempts are left | fatal: to the DLQ | cancel: it was asked to stop
--       5 reason      one word: error, timeout, fatal, corrupt, bad_arguments, cancelled, killed, ...
--       6 delay_ms    the wait before the next attempt
--       7 duration_ms
--       8 detail      JSON: type, message, traceback, code version, host
--       9 alike       fingerprint|code version|error: its group, should it fail for good (includes/groups.lua)
-- Reply {"OK", "retrying" | "failed" | "cancelled", attempt, due ms or ""}   the same for the same token
--       {"STALE"} another claim holds or ended it    {"GONE"} no such task
-- Moves running -> retrying, failed (failures < max_attempts, verdict retry, or not; also where the next attempt would
-- begin after its time is over) or cancelled.
-- Emits retrying, failed or cancelled, breaker. Cost O(log N).
--@include prelude
--@include sound
--@include prime
--@include endings
--@include slots
local id, token, verdict, reason = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local duration_ms, detail = ARGV[7], ARGV[8]
local ANSWERS = {retrying = true, failed = true, cancelled = true} -- a claim that was lost or crashed is stale
local body = call('HGET', Q .. 'bodies', id)
if call('HGET', Q .. 'tokens', id) ~= token then
  local given, attempt = outcome_given(id, token)
  if given and ANSWERS[given] then
    local due = given == 'retrying' and trail_of(id).failures == attempt and call('ZSCORE', Q .. 'retrying', id)
    return {'OK', given, attempt, due or ''}
  end
  count('stale', 1)
  return {body and 'STALE' or 'GONE'}
end
local trail = trail_of(id)
local attempt = trail.failures + 1
local asked = call('HGET', Q .. 'cancels', id)
local is_cancelled = verdict == 'cancel' or (asked and verdict == 'retry')
-- What never reached the handler says nothing about the type.
local UNSTARTED = {corrupt = true, bad_arguments = true, payload_refused = true}
stop_running(id, not (is_cancelled or UNSTARTED[reason]) and 'failed' or nil)
local outcome, due_ms = nil, ''
if is_cancelled then
  outcome = 'cancelled'
  note_attempt(id, token, outcome, attempt, duration_ms, detail)
  end_cancelled(id, body, token, verdict == 'cancel' and reason or 'cancelled', attempt, duration_ms, asked or detail)
else
  trail.failures = attempt
  keep_trail(id, trail)
  count('failures', 1)
  local again = verdict == 'retry' and attempt < max_attempts_of(body) and now + tonumber(ARGV[6])
  local expires = again and call('ZSCORE', Q .. 'expiries', id)
  if expires and (tonumber(expires) >= SET_ASIDE or tonumber(expires) <= again) then
    again = false
    -- Not decoded and encoded, which could change it.
    detail = '{"not_retried":"expired"' .. (detail == '{}' and '' or ',') .. string.sub(detail, 2)
  end
  if again then
    outcome = 'retrying'
    due_ms = string.format('%.0f', again)
    note_attempt(id, token, outcome, attempt, duration_ms, detail)
    call('ZADD', Q .. 'retrying', due_ms, id)
    wake() -- a waiting worker learns the new due time
  else
    outcome = 'failed'
    note_attempt(id, token, outcome, attempt, duration_ms, detail)
    end_failed(id, body, token, reason, attempt, duration_ms, detail, ARGV[9] or '')
  end
end
count(outcome, 1)
event('e', outcome, 'w', string.match(token, '~([^~|]*)|$') or '', 'i', id, 'r', reason, 'a', attempt)
return {'OK', outcome, attempt, due_ms}
