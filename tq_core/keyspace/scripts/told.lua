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
if ARGV[2] == '' then remove_members('outbox', messages)
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
