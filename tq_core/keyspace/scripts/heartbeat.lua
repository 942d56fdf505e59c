-- heartbeat: says that a node or a worker lives, and what it is doing.
--
-- KEYS  1 the fleet's prefix
-- ARGV  1 now
--       2 kind        node | worker
--       3 id
--       4 info        JSON
-- Reply {"OK", now ms, "new" | "known"}
-- Moves none. Emits joined for a new one. Cost O(log N).
--@include prelude
--@include prime
local is_new = call('ZADD', Q .. 'seen:' .. ARGV[2], now_ms, ARGV[3]) == 1
call('HSET', Q .. 'info:' .. ARGV[2], ARGV[3], ARGV[4])
if is_new then event('e', 'joined', 'k', ARGV[2], 'i', ARGV[3]) end
return {'OK', now_ms, is_new and 'new' or 'known'}
