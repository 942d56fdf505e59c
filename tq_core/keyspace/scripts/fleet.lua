-- fleet: all nodes and workers with their last heartbeats.
--
-- KEYS  1 the fleet's prefix
-- ARGV  1 now
-- Reply {"OK", now ms, {node id, seen ms, info, ...}, {worker id, seen ms, info, ...}}
-- Moves none. Emits nothing. Cost O(nodes + workers).
--@include prelude
--@include chunks
local function members(kind)
  local seen, ids = call('ZRANGE', Q .. 'seen:' .. kind, 0, -1, 'WITHSCORES'), {}
  for i = 1, #seen, 2 do ids[#ids + 1] = seen[i] end
  local infos, out = get_fields('info:' .. kind, ids), {}
  for i = 1, #ids do
    out[#out + 1] = ids[i]
    out[#out + 1] = seen[i * 2]
    out[#out + 1] = infos[i] or ''
  end
  return out
end
return {'OK', now_ms, members('node'), members('worker')}
