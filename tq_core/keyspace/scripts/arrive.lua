-- arrive: accepts tasks that were moved here; one that is here, or was, is not taken again.
--
-- ARGV  1 now
--       2 number      of the queue, as the ids carry it; "" when it is not known
--       3 actor
--       4 op
--       5 detail      JSON: by, from
--       6 undid       the operation whose move is undone, to which they come back; "" for a move
--       then 9 a task: id, priority, state (pending, scheduled or retrying), due_ms, expires_ms, key (finished, started, the
--         end of a lock in ms, or ""), tail (as in enqueue), trail, attempts
-- Reply {"OK", n accepted}      {"NUMBER", number or ""}      {"SCHEMA", version}
-- Moves nothing -> pending, scheduled, retrying. Emits enqueued. Cost O(n log N).
-- The limit of the queue's length does not hold for them, nor does a unique key that another holds by now: they have left
-- their queue, so refusing them would lose them. Such a one arrives without its key.
--@include prelude
--@include sound
--@include chunks
--@include schema
--@include audit
--@include holder
local SECONDS_A_DAY, FIRST, PER_TASK = 86400, 7, 9
local meta = call('HMGET', Q .. 'meta', 'number', 'schema')
if meta[2] and tonumber(meta[2]) > SCHEMA then return {'SCHEMA', meta[2]} end
if not meta[1] or (ARGV[2] ~= '' and meta[1] ~= ARGV[2]) then return {'NUMBER', meta[1] or ''} end
-- First write: refused whole when memory is full.
call('HINCRBY', Q .. 'counters', 'seq', 0)
local day = math.floor(now / 1000 / SECONDS_A_DAY)
local memory, before = Q .. 'arrived:' .. day, Q .. 'arrived:' .. (day - 1)
local accepted = {}
for at = FIRST, #ARGV, PER_TASK do
  local id, priority, state, due, expires, key_mode, tail, trail, attempts = unpack(ARGV, at, at + PER_TASK - 1)
  local mark = ARGV[6] == '' and id or id .. ' ' .. ARGV[6]
  if call('HEXISTS', Q .. 'bodies', id) + call('HEXISTS', memory, mark) + call('HEXISTS', before, mark) == 0 then
    local key = string.match(tail, '^[^|]*|%d+|([^|]*)|') or ''
    local holder, is_over
    if key ~= '' then holder, is_over = holder_of(key) end
    if holder then
      local head, rest = string.match(tail, '^([^|]*|%d+|)[^|]*(|.*)$')
      tail = head .. rest
    elseif key ~= '' and key_mode ~= '' then
      call('HSET', Q .. 'unique', key, id)
      if key_mode == 'started' then call('HSET', Q .. 'until', id, key) end
      if tonumber(key_mode) then call('ZADD', Q .. 'locks', key_mode, key)
      elseif is_over then call('ZREM', Q .. 'locks', key) end
    end
    local seq = call('HINCRBY', Q .. 'counters', 'seq', 1)
    local place = string.format('%.0f', tonumber(priority) * PRIORITY_BAND + seq)
    call('HSET', Q .. 'bodies', id, place .. '|' .. now_ms .. '|' .. tail)
    if trail ~= '' then call('HSET', Q .. 'trail', id, trail) end
    if attempts ~= '' then call('HSET', Q .. 'attempts', id, attempts) end
    if expires ~= '' then call('ZADD', Q .. 'expiries', expires, id) end
    call('ZADD', Q .. state, state == 'pending' and place or due, id)
    call('HSET', memory, mark, place .. '|' .. trail)
    accepted[#accepted + 1] = id
  end
end
if #accepted > 0 then
  call('EXPIRE', memory, 2 * SECONDS_A_DAY)
  wake()
  count('moved_in', #accepted)
  event('e', 'enqueued', 'i', table.concat(accepted, ','))
  -- Where the op is a job's, what it did was counted where they left.
  write_down(ARGV[3], ARGV[4], 'move', #accepted, ARGV[5], accepted)
end
return {'OK', #accepted}
