-- told: takes messages out of the outbox, or puts off those that could not be told.
--
-- ARGV  1 now
--       2 delay_ms    "" = they were told
--       then messages, as they were read
-- Reply {"OK"}
-- Moves none. Emits nothing. Cost O(n log N).
--@include prelude
--@include prime
--@include chunks
local messages, due = {}, {}
for i = 3, #ARGV do messages[i - 2] = ARGV[i] end
if ARGV[2] == '' then
  remove_members('outbox', messages)
  -- Tasks that have arrived elsewhere go in the step that forgets where they went.
  if call('EXISTS', Q .. 'leaving') == 1 then
    for i = 1, #messages do
      local is_json, read = pcall(cjson.decode, messages[i])
      local ids = is_json and type(read) == 'table' and (read.kind == 'move' or read.kind == 'return') and read.ids or {}
      for at = 2, #ids, 2 do call('HDEL', Q .. 'leaving', ids[at]) end
    end
  end
else
  local due_ms = string.format('%.0f', now + tonumber(ARGV[2]))
  for i = 1, #messages do
    if call('ZSCORE', Q .. 'outbox', messages[i]) then
      due[#due + 1] = due_ms
      due[#due + 1] = messages[i]
    end
  end
  add_members('outbox', due)
end
return {'OK'}
