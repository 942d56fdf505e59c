-- outbox: reads what a queue has to tell others by now, oldest first.
--
-- ARGV  1 now
--       2 limit
-- Reply {"OK", message JSON...}
-- Moves none. Emits nothing. Cost O(log N + k).
--@include prelude
return {'OK', unpack(call('ZRANGEBYSCORE', Q .. 'outbox', '-inf', now_ms, 'LIMIT', 0, ARGV[2]))}
