-- register_queue: gives a queue its number, once; on the key tq:queues, which is the only key it touches.
--
-- ARGV  1 now
--       2 queue
--       3 number      the number it is known to have, or ""
-- Reply {"OK", number}   {"TAKEN"} that number is another queue's, or all are given
-- Moves none. Emits nothing. Cost O(1); O(queues) when a number is restored.
local call = redis.call
local known = call('HGET', KEYS[1], ARGV[2])
if known then return {'OK', known} end
local number = tonumber(ARGV[3])
if number then
  local all = call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    if all[i] ~= '#next' and tonumber(all[i + 1]) == number then return {'TAKEN'} end
  end
  if number > (tonumber(call('HGET', KEYS[1], '#next')) or 0) then call('HSET', KEYS[1], '#next', number) end
else
  number = call('HINCRBY', KEYS[1], '#next', 1)
  if number > 65535 then return {'TAKEN'} end
end
call('HSET', KEYS[1], ARGV[2], number)
return {'OK', tostring(number)}
