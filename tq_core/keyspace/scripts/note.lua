-- note: keeps what running handlers say of themselves: lines of their logs, and how far they are.
--
-- ARGV  1 now
--       then 5 a task:
--         id
--         token
--         seq         from 1 in each claim: a call that is sent again adds its lines once
--         progress    fraction|text, or "" for nothing new
--         lines       "age ms|text as JSON", separated by line feeds; "" for none
-- Reply {"OK"}
-- Moves none. Emits nothing. Cost O(n). Refused whole when memory is full: what is said can be done without.
--@include prelude
local LINES_KEPT, BYTES_KEPT = 100, 16384
for i = 2, #ARGV, 5 do
  local id, token, seq = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local claim = string.match(token, '^[^~]*')
  if ARGV[i + 3] ~= '' and call('HGET', Q .. 'tokens', id) == token then
    call('HSET', Q .. 'progress', id, now_ms .. '|' .. ARGV[i + 3])
  end
  -- What a handler said right before its end may come after it.
  if ARGV[i + 4] ~= '' and call('HEXISTS', Q .. 'bodies', id) == 1 then
    local known, heard, text = string.match(call('HGET', Q .. 'logs', id) or '', '^([^ \n]*) (%d+)\n(.*)$')
    if known ~= claim or seq > tonumber(heard) then
      local lines, bytes = {}, 0
      for line in string.gmatch(text or '', '[^\n]+') do lines[#lines + 1] = line end
      for age, said in string.gmatch(ARGV[i + 4], '(%d+)|([^\n]*)') do
        lines[#lines + 1] = string.format('%.0f', now - tonumber(age)) .. '|' .. said
      end
      local first = #lines + 1
      while first > 1 and #lines - first + 1 < LINES_KEPT and bytes + #lines[first - 1] < BYTES_KEPT do
        first = first - 1
        bytes = bytes + #lines[first] + 1
      end
      call('HSET', Q .. 'logs', id, claim .. ' ' .. seq .. '\n' .. table.concat(lines, '\n', first))
    end
  end
end
return {'OK'}
