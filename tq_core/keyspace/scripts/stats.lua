-- stats: a queue in numbers.
--
-- ARGV  1 now
--       2 minutes     how many past minutes' counters to add, the present one included
--       3 since       of them only those from this minute on, which who asks again knows to be unfinished; 0 for all
--       4 counters    1: all totals; 0: only enqueued, which tells a queue that was emptied
-- Reply {"OK", now ms, {depth, ...}, {counter, value, ...}, {meta field, value, ...}, oldest pending created ms or "",
--        next due ms or "", {{minute, "field value field value ..."}...}, {limit or state of a breaker, value, ...}}
--        depths in the order of STATES
-- Moves none. Emits nothing. Cost O(minutes + priorities in use). A screen asks this of every queue each second, so what is
-- not needed is not called, and a minute is one string: a reply of many small ones costs more than all its reading.
--@include prelude
local STATES = {'blocked', 'scheduled', 'pending', 'running', 'retrying', 'completed', 'failed', 'cancelled'}
local depths = {}
for i = 1, 8 do depths[i] = call('ZCARD', Q .. STATES[i]) end
-- The sentinel of the lease set is no task (claim.lua).
if depths[4] > 0 and call('ZSCORE', Q .. 'running', string.rep('~', 70)) then depths[4] = depths[4] - 1 end

-- The first of each priority is its oldest: jump from band to band.
local oldest, from = nil, '-inf'
while depths[3] > 0 do
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
local scheduled = depths[2] > 0 and call('ZRANGE', Q .. 'scheduled', 0, 0, 'WITHSCORES')[2]
local retrying = depths[5] > 0 and call('ZRANGE', Q .. 'retrying', 0, 0, 'WITHSCORES')[2]
local due = scheduled or retrying or ''
if scheduled and retrying and tonumber(retrying) < tonumber(scheduled) then due = retrying end
local minutes, this = {}, math.floor(now / 60000)
for minute = math.max(this - tonumber(ARGV[2]) + 1, tonumber(ARGV[3])), this do
  local fields = call('HGETALL', Q .. 'minute:' .. minute)
  if #fields > 0 then minutes[#minutes + 1] = {minute, table.concat(fields, ' ')} end
end
local counters
if ARGV[4] == '1' then counters = call('HGETALL', Q .. 'counters')
else counters = {'enqueued', call('HGET', Q .. 'counters', 'enqueued') or '0'} end
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
return {'OK', now_ms, depths, counters, call('HGETALL', Q .. 'meta'),
  oldest and string.format('%.0f', oldest) or '', due, minutes, rules}
