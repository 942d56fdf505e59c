-- examine: looks for what is wrong in a queue without reading more than a sample of it; for `tq doctor`.
--
-- ARGV  1 now
--       2 sample      tasks of each state that are looked at, those whose turn comes first
--       3 overdue_ms  how long past its end a lease must be
--       4 large_bytes bodies of more are told
-- Reply {"OK", schema or "", number or "", n overdue leases, oldest overdue lease end or "", {id, state, ...} without a
--        body, {type, n, ...} of the pending sample, {id, bytes, ...} large bodies, n messages in the outbox, when the
--        oldest of a sample was left there (ms) or "", n held back by limit keys or breakers, the oldest task of a sample
--        of those of limit keys (ms) or "", its limit key}
-- Moves none. Emits nothing. Cost O(sample).
--@include prelude
local STATES = {'blocked', 'scheduled', 'pending', 'running', 'retrying', 'completed', 'failed', 'cancelled'}
local SENTINEL = string.rep('~', 70)
local sample, large_bytes = tonumber(ARGV[2]), tonumber(ARGV[4])
local ghosts, types, large = {}, {}, {}
for _, state in ipairs(STATES) do
  for _, id in ipairs(call('ZRANGE', Q .. state, 0, sample - 1)) do
    local bytes = id == SENTINEL and 1 or call('HSTRLEN', Q .. 'bodies', id)
    if bytes == 0 then
      ghosts[#ghosts + 1] = id
      ghosts[#ghosts + 1] = state
    elseif bytes > large_bytes then
      large[#large + 1] = id
      large[#large + 1] = bytes
    elseif state == 'pending' then
      local task_type = string.match(call('HGET', Q .. 'bodies', id), '^%d+|%d+|([^|]*)|') or '?'
      types[task_type] = (types[task_type] or 0) + 1
    end
  end
end
local counted = {}
for task_type, n in pairs(types) do
  counted[#counted + 1] = task_type
  counted[#counted + 1] = n
end
local overdue = string.format('%.0f', now - tonumber(ARGV[3]))
local meta = call('HMGET', Q .. 'meta', 'schema', 'number')
local untold
for _, message in ipairs(call('ZRANGE', Q .. 'outbox', 0, sample - 1)) do
  local at = tonumber(string.match(message, '"at":(%d+)') or '')
  if at and (not untold or at < untold) then untold = at end
end
local held_since, held_key
for _, member in ipairs(call('ZRANGE', Q .. 'parked', 0, sample - 1)) do
  local gate, id = string.match(member, '^([^!>][^>]*)>%d+>(.*)$')
  local created = gate and tonumber(string.match(call('HGET', Q .. 'bodies', id) or '', '^%d+|(%d+)|') or '')
  if created and (not held_since or created < held_since) then held_since, held_key = created, gate end
end
return {'OK', meta[1] or '', meta[2] or '', call('ZCOUNT', Q .. 'running', '-inf', overdue),
  call('ZRANGEBYSCORE', Q .. 'running', '-inf', overdue, 'WITHSCORES', 'LIMIT', 0, 1)[2] or '', ghosts, counted, large,
  call('ZCARD', Q .. 'outbox'), untold and string.format('%.0f', untold) or '', call('ZCARD', Q .. 'parked'),
  held_since and string.format('%.0f', held_since) or '', held_key or ''}
