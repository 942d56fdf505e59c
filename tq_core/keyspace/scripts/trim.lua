-- trim: forgets ended tasks that are older, or more, than the queue keeps, unique keys whose time is over, and old trash.
--
-- ARGV  1 now
--       2 limit            tasks of each state a call
--       3 keep_ms          age of completed and cancelled tasks; the queue's keep_ms wins
--       4 keep             number of each of those; the queue's keep_completed, keep_cancelled win
--       5 keep_failed      number of failed ones, which never go by age
--       6 trash_limit      tasks of the trash a call
-- Reply {"OK", n completed, n cancelled, n failed}
-- Moves completed, cancelled, failed -> nothing. Emits dropped for failed ones. Cost O(k log N).
--@include prelude
--@include sound
--@include prime
--@include forget
--@include groups
local limit = tonumber(ARGV[2])
local meta = call('HMGET', Q .. 'meta', 'keep_ms', 'keep_completed', 'keep_cancelled', 'keep_failed')
local oldest_ms = string.format('%.0f', now - (tonumber(meta[1] or '') or tonumber(ARGV[3])))

local function trim(state, keep, by_age)
  local gone = {}
  if by_age then gone = call('ZRANGEBYSCORE', Q .. state, '-inf', '(' .. oldest_ms, 'LIMIT', 0, limit) end
  remove_members(state, gone)
  local over = math.min(call('ZCARD', Q .. state) - keep, limit)
  if over > 0 then
    local popped = call('ZPOPMIN', Q .. state, over)
    for i = 1, #popped, 2 do gone[#gone + 1] = popped[i] end
  end
  if state == 'failed' then leave_groups(gone) end
  forget(gone)
  return gone
end

local completed = trim('completed', tonumber(meta[2] or '') or tonumber(ARGV[4]), true)
local cancelled = trim('cancelled', tonumber(meta[3] or '') or tonumber(ARGV[4]), true)
local failed = trim('failed', tonumber(meta[4] or '') or tonumber(ARGV[5]), false)
count('trimmed', #completed + #cancelled)
local over = call('ZRANGEBYSCORE', Q .. 'locks', '-inf', now_ms, 'LIMIT', 0, limit)
remove_members('locks', over)
remove_fields('unique', over)
if #failed > 0 then
  count('dropped', #failed)
  event('e', 'dropped', 'i', table.concat(failed, ','))
end
local room = tonumber(ARGV[6])
for _, op in ipairs(call('ZRANGEBYSCORE', Q .. 'operations', '-inf', now_ms, 'LIMIT', 0, 100)) do
  local names = call('ZRANGEBYLEX', Q .. 'trashed', '[' .. op .. ' ', '(' .. op .. '!', 'LIMIT', 0, room)
  remove_fields('trash', names)
  remove_members('trashed', names)
  room = room - #names
  if room <= 0 then break end
  call('ZREM', Q .. 'operations', op)
  call('HDEL', Q .. 'operated', op)
end
return {'OK', #completed, #cancelled, #failed}
