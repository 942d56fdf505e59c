-- watch: says whether tasks have ended, and remembers who wants to be told when the others do.
--
-- ARGV  1 now
--       2 queue       which is to be told; "" = only look
--       3 watch       the number by which that queue knows this question
--       then ids
-- Reply {word...}  per task "live" "completed" "failed" "cancelled" or "deleted"
-- Moves none. Emits nothing. Cost O(n).
--@include prelude
if ARGV[2] ~= '' then
--@include prime
end
local words = {}
for i = 4, #ARGV do
  local id = ARGV[i]
  local record = call('HGET', Q .. 'records', id)
  local outcome = record and string.match(record, '^[^|]*|(%l+)')
  if outcome then words[#words + 1] = outcome == 'ok' and 'completed' or outcome
  elseif call('HEXISTS', Q .. 'bodies', id) == 0 then words[#words + 1] = 'deleted'
  else
    words[#words + 1] = 'live'
    if ARGV[2] ~= '' then
      -- A question that is asked again must not make a later one of the same queue be forgotten.
      local kept, number = {}, tonumber(ARGV[3])
      for queue, watch in string.gmatch(call('HGET', Q .. 'watchers', id) or '', '([^ ]+) (%d+)') do
        if queue == ARGV[2] then number = math.max(number, tonumber(watch)) else kept[#kept + 1] = queue .. ' ' .. watch end
      end
      kept[#kept + 1] = ARGV[2] .. ' ' .. string.format('%.0f', number)
      call('HSET', Q .. 'watchers', id, table.concat(kept, ' '))
    end
  end
end
return words
