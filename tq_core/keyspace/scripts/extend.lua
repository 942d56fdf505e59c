-- extend: keeps running tasks that this worker still holds.
--
-- ARGV  1 now
--       2 lease_ms
--       then 2 a task: id, token
-- Reply {"OK", lease end ms, lost ids, asked ids, asked details}
--       lost: another claim holds or ended it; asked: somebody asked it to stop (JSON who, why, mode)
-- Moves none. Emits nothing. Cost O(n log N).
--@include prelude
--@include prime
--@include chunks
local ids = {}
for i = 3, #ARGV, 2 do ids[#ids + 1] = ARGV[i] end
local lease_end = string.format('%.0f', now + tonumber(ARGV[2]))
local held = get_fields('tokens', ids)
local leases, lost, asked, details = {}, {}, {}, {}
local any_cancels = call('EXISTS', Q .. 'cancels') == 1
for i = 1, #ids do
  if held[i] == ARGV[2 + i * 2] then
    leases[#leases + 1] = lease_end
    leases[#leases + 1] = ids[i]
    local detail = any_cancels and call('HGET', Q .. 'cancels', ids[i])
    if detail then
      asked[#asked + 1] = ids[i]
      details[#details + 1] = detail
    end
  else lost[#lost + 1] = ids[i] end
end
add_members('running', leases)
return {'OK', lease_end, lost, asked, details}
