-- claim: gives a worker the next tasks of a queue, under a lease and one token for all of them.
--
-- ARGV  1 now
--       2 worker      its id
--       3 nonce       random, new for every claim: finds the claim whose answer was lost
--       4 n           how many at most
--       5 lease_ms
--       6 promote_max how many due tasks of each kind it promotes first
-- Reply {"OK", token, lease end, ids, bodies, trails or "", look again}   a body is nil where the record is gone: skip it
--       {"EMPTY", look again}
--       look again: ms when more may be claimed, such as the next due or the next of a rate; "" for when something changes;
--       now, where so many had expired that others are left: nothing is given out before they are ended
--       {"PAUSED"}
--       {"SCHEMA", version}   a newer client wrote the queue; nothing was written
-- Moves scheduled, retrying -> pending -> running; those whose time is over -> cancelled; what a limit or breaker holds
-- back: pending -> blocked, and back when there is room. Emits claimed, expired, breaker. Cost O((n + promoted) log N),
-- with limits O((n + 500) log N).
--@include prelude
--@include schema
local meta = call('HMGET', Q .. 'meta', 'paused', 'schema')
if meta[2] and tonumber(meta[2]) > SCHEMA then return {'SCHEMA', meta[2]} end
--@include prime
--@include chunks
local SENTINEL = string.rep('~', 70) -- a member over 64 bytes keeps the zset a skiplist: a listpack halves throughput
local SENTINEL_EVERY = 64

if meta[1] then return {'PAUSED'} end
-- What few queues have is asked for once.
local is_rare = call('EXISTS', Q .. 'scheduled', Q .. 'retrying', Q .. 'expiries', Q .. 'trail', Q .. 'until', Q .. 'limits') > 0
local n = tonumber(ARGV[4])
local ids, popped, is_limited, bodies, again = {}, {}, false, nil, nil
if is_rare then
-- Included here, since to make its functions takes time that most calls need not spend.
--@include promote
  local _, is_more = promote_due(tonumber(ARGV[6]))
  if is_more then return {'EMPTY', now_ms} end
  is_limited = call('EXISTS', Q .. 'limits') == 1
  if is_limited then
-- What a limit chooses is written down at once, and cannot be put back.
--@include sound
--@include opening
    local held = call('ZCARD', Q .. 'running')
    if held > 0 and call('ZSCORE', Q .. 'running', SENTINEL) then held = held - 1 end
    ids, bodies, again = choose(n, held)
  end
end
if not is_limited then
  popped = call('ZPOPMIN', Q .. 'pending', n)
  for i = 1, #popped / 2 do ids[i] = popped[i * 2 - 1] end
end
local k = #ids
if k == 0 and again == '' then return {'EMPTY', ''} end
if k == 0 then
  local first = call('ZRANGE', Q .. 'scheduled', 0, 0, 'WITHSCORES')[2]
  local retry = call('ZRANGE', Q .. 'retrying', 0, 0, 'WITHSCORES')[2]
  if retry and not (first and tonumber(first) < tonumber(retry)) then first = retry end
  if again and not (first and tonumber(first) < again) then first = string.format('%.0f', again) end
  return {'EMPTY', first or ''}
end
local fence = redis.pcall('HINCRBY', Q .. 'counters', 'fence', 1)
local is_read = true
if not bodies then is_read, bodies = pcall(get_fields, 'bodies', ids) end
-- Where a stranger has overwritten a key, what was taken goes back: else each try would cost tasks their place.
local problem = type(fence) == 'table' and fence or not is_read and bodies
if problem then
  for i = 1, #popped, 2 do call('ZADD', Q .. 'pending', popped[i + 1], popped[i]) end
  return type(problem) == 'table' and problem or redis.error_reply(problem)
end
local token = string.format('%.0f', fence) .. '-' .. ARGV[3] .. '~' .. now_ms .. '~' .. ARGV[2] .. '|'
local lease_end = string.format('%.0f', now + tonumber(ARGV[5]))
local tokens, leases, ghosts = {}, {}, 0
for i = 1, k do
  if bodies[i] then
    tokens[#tokens + 1] = ids[i]
    tokens[#tokens + 1] = token
    leases[#leases + 1] = lease_end
    leases[#leases + 1] = ids[i]
  else ghosts = ghosts + 1 end
end
count('ghost', ghosts)
if fence % SENTINEL_EVERY == 1 then
  leases[#leases + 1] = 'inf'
  leases[#leases + 1] = SENTINEL
  tokens[#tokens + 1] = '!'
  tokens[#tokens + 1] = SENTINEL
end
local is_leased, refusal = pcall(add_members, 'running', leases)
if not is_leased then
  for i = 1, #popped, 2 do call('ZADD', Q .. 'pending', popped[i + 1], popped[i]) end
  return type(refusal) == 'table' and refusal or redis.error_reply(refusal)
end
set_fields('tokens', tokens)
if not is_limited and k == n and call('EXISTS', Q .. 'pending') == 1 then wake() end
event('e', 'claimed', 'w', ARGV[2], 'i', table.concat(ids, ','))
local trails = ''
if is_rare and call('EXISTS', Q .. 'trail', Q .. 'until') > 0 then
  trails = get_fields('trail', ids)
  local keys = get_fields('until', ids)
  for i = 1, k do
    if keys[i] and call('HGET', Q .. 'unique', keys[i]) == ids[i] then call('HDEL', Q .. 'unique', keys[i]) end
  end
  remove_fields('until', ids)
end
return {'OK', token, lease_end, ids, bodies, trails, again and again ~= '' and string.format('%.0f', again) or ''}
