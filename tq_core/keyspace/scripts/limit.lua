-- limit: sets or clears how many tasks of a queue or key may run or start at once, and which types have a breaker.
--
-- ARGV  1 now
--       2 actor
--       3 op
--       4 detail      JSON: by, why
--       then 2 a setting: field of `limits` (tq_core.keyspace.wire), value; "" clears it
-- Reply {"OK"}
-- Moves none: lines that may move now are looked at by the next claim or upkeep. Emits configured.
-- Cost O(running) for the first limit of a queue, O(lines) for one that holds for all keys.
--@include prelude
--@include prime
--@include audit
--@include breakers
if call('HSETNX', Q .. 'limits', 'since', now_ms) == 1 then
  -- What is running already counts from now on.
  for _, id in ipairs(call('HKEYS', Q .. 'tokens')) do
    local key = gates_of(call('HGET', Q .. 'bodies', id))
    if key ~= '' then
      call('HSET', Q .. 'slots', id, key .. '>')
      call('ZADD', Q .. 'holders', 0, key .. '>' .. id)
    end
  end
end
local is_for_all = false
for i = 5, #ARGV, 2 do
  local field, value = ARGV[i], ARGV[i + 1]
  local before = call('HGET', Q .. 'limits', field) or ''
  if value == '' then call('HDEL', Q .. 'limits', field) else call('HSET', Q .. 'limits', field, value) end
  local name, of = string.match(field, '^([a-z_]+):?(.*)$')
  if name == 'rate' then call('ZREM', Q .. 'rates', '') end
  if name == 'breaker' then
    local WINDOW = '^[^|]*|[^|]*|(%d+)|'
    if value == '' then call('HDEL', Q .. 'breakers', 'state:' .. of, 'tally:' .. of)
    -- Counts are kept by parts of the window, which are other ones now.
    elseif string.match(before, WINDOW) ~= string.match(value, WINDOW) then call('HDEL', Q .. 'breakers', 'tally:' .. of) end
    look_again('!' .. of, now)
  elseif of ~= '' then
    if name == 'key_rate' then call('ZREM', Q .. 'rates', of) end
    look_again(of, now)
  else is_for_all = true end
end
if is_for_all then
  local last = call('ZRANGEBYLEX', Q .. 'parked', '-', '+', 'LIMIT', 0, 1)[1]
  while last do
    local gate = string.match(last, '^[^>]*')
    if string.sub(gate, 1, 1) ~= '!' then call('ZADD', Q .. 'gates', now_ms, gate) end
    last = call('ZRANGEBYLEX', Q .. 'parked', '[' .. gate .. '?', '+', 'LIMIT', 0, 1)[1]
  end
end
wake()
event('e', 'configured', 'by', ARGV[2])
audit(ARGV[2], ARGV[3], 'limit', 1, ARGV[4])
return {'OK'}
