-- watch_end: has a client told when tasks end, at `answers:CLIENT`; those that have ended are answered at once.
--
-- ARGV  1 now
--       2 client      one word
--       then ids
-- Reply {word...}  per task "WAITS", "ENDED" or "GONE"
-- Moves none. Emits nothing. Cost O(n).
--@include prelude
local CLIENTS_MAX = 2000 -- bytes of one task's clients: a hundred or so; more ask again now and then
local words = {}
for i = 3, #ARGV do
  local id = ARGV[i]
  if call('HEXISTS', Q .. 'records', id) == 1 then words[#words + 1] = 'ENDED'
  elseif call('HEXISTS', Q .. 'bodies', id) == 0 then words[#words + 1] = 'GONE'
  else
    words[#words + 1] = 'WAITS'
    local known = call('HGET', Q .. 'waiters', id)
    if not known then call('HSET', Q .. 'waiters', id, ARGV[2])
    elseif #known < CLIENTS_MAX and not string.find(' ' .. known .. ' ', ' ' .. ARGV[2] .. ' ', 1, true) then
      call('HSET', Q .. 'waiters', id, known .. ' ' .. ARGV[2])
    end
  end
end
return words
