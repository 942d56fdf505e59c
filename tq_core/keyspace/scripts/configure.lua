-- configure: sets or clears a queue's limits.
--
-- ARGV  1 now
--       2 actor
--       3 op
--       4 detail      JSON: by, why
--       then 2 a setting: field, value; "" clears it
-- Reply {"OK"}
-- Moves none. Emits configured. Cost O(1).
--@include prelude
--@include prime
--@include audit
for i = 5, #ARGV, 2 do
  if ARGV[i + 1] == '' then call('HDEL', Q .. 'meta', ARGV[i]) else call('HSET', Q .. 'meta', ARGV[i], ARGV[i + 1]) end
end
event('e', 'configured', 'by', ARGV[2])
audit(ARGV[2], ARGV[3], 'configure', 1, ARGV[4])
return {'OK'}
