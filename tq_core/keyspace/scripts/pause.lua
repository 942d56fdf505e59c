-- pause: stops a queue's tasks from being claimed, or lets them be claimed again.
--
-- ARGV  1 now
--       2 actor
--       3 op
--       4 paused      1 | 0
--       5 detail      JSON: by, why
-- Reply {"OK", "changed" | "unchanged"}
-- Moves none. Emits paused or resumed. Cost O(1).
--@include prelude
--@include prime
--@include audit
local is_paused = call('HEXISTS', Q .. 'meta', 'paused')
if is_paused == tonumber(ARGV[4]) then return {'OK', 'unchanged'} end
if ARGV[4] == '1' then call('HSET', Q .. 'meta', 'paused', ARGV[5], 'paused_at_ms', now_ms)
else
  call('HDEL', Q .. 'meta', 'paused', 'paused_at_ms')
  wake()
end
local word = ARGV[4] == '1' and 'paused' or 'resumed'
event('e', word, 'by', ARGV[2])
audit(ARGV[2], ARGV[3], ARGV[4] == '1' and 'pause' or 'resume', 1, ARGV[5])
return {'OK', 'changed'}
