-- promote: moves due tasks and those whose gate has room to pending, and ends expired ones, for queues without idle workers.
--
-- ARGV  1 now
--       2 limit       tasks of each kind a call
-- Reply {"OK", n moved or ended}
-- Moves scheduled, retrying, blocked -> pending; blocked, scheduled, pending, retrying -> cancelled. Emits expired, breaker. Cost O(k log N).
--@include prelude
--@include sound
--@include prime
--@include promote
local moved = promote_due(tonumber(ARGV[2]))
if call('EXISTS', Q .. 'limits') == 1 then
--@include opening
  moved = moved + open_gates()
  call('ZREMRANGEBYSCORE', Q .. 'rates', '-inf', now_ms) -- full buckets are as good as none
  if call('HLEN', Q .. 'limits') == 1 and call('EXISTS', Q .. 'parked') == 0 then
    call('DEL', Q .. 'limits', Q .. 'slots', Q .. 'holders', Q .. 'gates', Q .. 'rates', Q .. 'breakers')
  end
end
if moved > 0 then wake() end
return {'OK', moved}
