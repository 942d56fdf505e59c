-- acknowledge: answers a command.
--
-- KEYS  1 the fleet's prefix
-- ARGV  1 now
--       2 command id
--       3 answer      JSON: ok, and what happened or why not
-- Reply {"OK"}
-- Moves none. Emits nothing. Cost O(1).
--@include prelude
--@include prime
local key = Q .. 'ack:' .. ARGV[2]
call('RPUSH', key, ARGV[3])
call('PEXPIRE', key, 60000)
return {'OK'}
