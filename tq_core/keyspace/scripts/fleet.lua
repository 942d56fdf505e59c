-- fleet: all nodes and workers with their last heartbeats.
--
-- KEYS  1 the fleet's prefix
-- ARGV  1 now
--       2 since_ms    what those said who were seen from then on; of the others "", for who asks again knows it
-- Reply {"OK", now ms, {node id, seen ms, info, ...}, {worker id, seen ms, info, ...}}
-- Moves none. Emits nothing. Cost O(nodes + workers).
--@include prelude
--@include chunks
local since_ms = tonumber(ARGV[2])
local function members(kind)
  local out, fresh, at = {}, {}, {}
  local seen = call('ZRANGE', Q .. 'seen:' .. kind, 0, -1, 'WITHSCORES')
  for i = 1, #seen, 2 do
    local base = (i - 1) / 2 * 3
    out[base + 1], out[base + 2], out[base + 3] = seen[i], seen[i + 1], ''
    -- A time that is no number is told again and again, like everything of a stranger's.
    if not (tonumber(seen[i + 1]) < since_ms) then fresh[#fresh + 1], at[#at + 1] = seen[i], base + 3 end
  end
  local infos = get_fields('info:' .. kind, fresh)
  for i = 1, #fresh do out[at[i]] = infos[i] or '' end
  return out
end
return {'OK', now_ms, members('node'), members('worker')}
