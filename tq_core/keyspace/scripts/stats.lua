-- stats: a queue in numbers.
--
-- ARGV  1 now
--       2 minutes     how many past minutes' counters to add, the present one included
-- Reply {"OK", now ms, {state, depth, ...}, {counter, value, ...}, {meta field, value, ...}, oldest pending created ms
--        or "", next due ms or "", {{minute, {field, value, ...}}...}, {limit or state of a breaker, value, ...}}
-- Moves none. Emits nothing. Cost O(minutes + priorities in use).
--@include prelude
local STATES = {'blocked', 'scheduled', 'pending', 'running', 'retrying', 'completed', 'failed', 'cancelled'}
local depths = {}
for i, state in ipairs(STATES) do
  depths[i * 2 - 1] = state
  depths[i * 2] = call('ZCARD', Q .. state)
end
-- The sentinel of the lease set is no task (claim.lua).
if call('ZSCORE', Q .. 'running', string.rep('~', 70)) then depths[8] = depths[8] - 1 end

-- The first of each priority is its oldest: jump from band to band.
local oldest, from = nil, '-inf'
while true do
  local first = call('ZRANGEBYSCORE', Q .. 'pending', from, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if not first[1] then break end
  local created = tonumber(string.match(call('HGET', Q .. 'bodies', first[1]) or '', '^%d+|(%d+)|'))
  if created and (not oldest or created < oldest) then oldest = created end
  local score = tonumber(first[2]) or math.huge
  local after = (math.floor(score / PRIORITY_BAND) + 1) * PRIORITY_BAND
  -- A score that no enqueue gave (infinite, or beyond what a double counts) would hold this loop, and Redis, for ever.
  if not (after > score) or after >= 2 ^ 53 then break end
  from = string.format('%.0f', after)
end
local scheduled = call('ZRANGE', Q .. 'scheduled', 0, 0, 'WITHSCORES')[2]
local retrying = call('ZRANGE', Q .. 'retrying', 0, 0, 'WITHSCORES')[2]
local due = scheduled or retrying or ''
if scheduled and retrying and tonumber(retrying) < tonumber(scheduled) then due = retrying end
local minutes, this = {}, math.floor(now / 60000)
for minute = this - tonumber(ARGV[2]) + 1, this do
  local fields = call('HGETALL', Q .. 'minute:' .. minute)
  if #fields > 0 then minutes[#minutes + 1] = {minute, fields} end
end
-- Of keys that have limits of their own there may be very many: only what holds for all is told.
local rules = {}
if call('EXISTS', Q .. 'limits') == 1 then
  local FOR_ALL = {'running', 'rate', 'key_running', 'key_rate'}
  local set, breakers = call('HMGET', Q .. 'limits', unpack(FOR_ALL)), call('HGETALL', Q .. 'breakers')
  for i = 1, #FOR_ALL do
    if set[i] then rules[#rules + 1], rules[#rules + 2] = FOR_ALL[i], set[i] end
  end
  for i = 1, #breakers, 2 do
    local task_type = string.match(breakers[i], '^state:(.*)$')
    if task_type then
      rules[#rules + 1], rules[#rules + 2] = 'breaker:' .. task_type, string.match(breakers[i + 1], '^%l*')
    end
  end
end
return {'OK', now_ms, depths, call('HGETALL', Q .. 'counters'), call('HGETALL', Q .. 'meta'),
  oldest and string.format('%.0f', oldest) or '', due, minutes, rules}
