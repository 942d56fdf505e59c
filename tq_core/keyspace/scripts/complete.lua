-- complete: records tasks that succeeded, if the worker still holds them.
--
-- ARGV  1 now
--       2 buckets     two characters an acknowledgement: log2 run-time and log2 wait-time bucket, 'A' + bucket
--       3 run_ms      sum of the run times
--       4 uniques     JSON {index from 1: unique key}, or ""
--       then 2 an acknowledgement: id, record = token .. ok|attempt|duration_ms|result JSON
-- Reply {"OK"}              all were recorded, now or by the same call before
--       {"MIXED", word...}  per acknowledgement "K" recorded, "S" stale: another claim holds or ended it, "G" gone
-- Moves running -> completed, and blocked -> pending or scheduled for those that waited for these alone.
-- Emits completed, unblocked, breaker. Cost O((n + unblocked) log N).
--@include prelude
--@include prime
--@include chunks
--@include waiters
local COMPLETED_KEPT = 100000
local FIRST = 5
local n = (#ARGV - FIRST + 1) / 2
local buckets, run_ms = ARGV[2], tonumber(ARGV[3])
local ids, records, kept_buckets = {}, {}, {}
for i = 1, n do
  ids[i] = ARGV[FIRST + (i - 1) * 2]
  records[i] = ARGV[FIRST + 1 + (i - 1) * 2]
end
-- A record begins with the token that wrote it, so holding the task is a comparison of prefixes.
local held = get_fields('tokens', ids)
local all_held, words = true, nil
local seen = {}
for i = 1, n do
  if seen[ids[i]] or not held[i] or string.find(records[i], held[i], 1, true) ~= 1 then
    all_held = false
    break
  end
  seen[ids[i]] = true
end
if not all_held then
  local good_ids, good_records, stale, recorded = {}, {}, 0, {}
  words, run_ms = {}, 0
  for i = 1, n do
    local id, record = ids[i], records[i]
    if recorded[id] == record then words[i] = 'K'
    elseif held[i] and not recorded[id] and string.find(record, held[i], 1, true) == 1 then
      words[i] = 'K'
      recorded[id] = record
      run_ms = run_ms + (tonumber(string.match(record, '^[^|]*|ok|%d+|(%d+)|')) or 0)
      good_ids[#good_ids + 1] = id
      good_records[#good_records + 1] = record
      kept_buckets[#kept_buckets + 1] = string.sub(buckets, i * 2 - 1, i * 2)
    else
      local known = call('HGET', Q .. 'records', id)
      if known and string.match(known, '^[^|]*|ok|') and string.match(known, '^[^|]*') == string.match(record, '^[^|]*')
      then words[i] = 'K'
      else
        words[i] = (known or call('HEXISTS', Q .. 'bodies', id) == 1) and 'S' or 'G'
        stale = stale + 1
      end
    end
  end
  count('stale', stale)
  ids, records, buckets = good_ids, good_records, table.concat(kept_buckets)
end
local done = #ids
if done > 0 then
  local fields, finished = {}, {}
  for i = 1, done do
    fields[i * 2 - 1] = ids[i]
    fields[i * 2] = records[i]
    finished[i * 2 - 1] = now_ms
    finished[i * 2] = ids[i]
  end
  -- Added first and removed last: what cannot be written leaves the task with its worker, which tries again.
  set_fields('records', fields)
  add_members('completed', finished)
  remove_fields('tokens', ids)
  remove_members('running', ids)
  if ARGV[4] ~= '' then
    local has_locks = call('EXISTS', Q .. 'locks') == 1
    for i, key in pairs(cjson.decode(ARGV[4])) do
      local id = ARGV[FIRST + (tonumber(i) - 1) * 2]
      if (not words or words[tonumber(i)] == 'K') and call('HGET', Q .. 'unique', key) == id
        and not (has_locks and call('ZSCORE', Q .. 'locks', key)) then
        call('HDEL', Q .. 'unique', key)
      end
    end
  end
  -- What few tasks have is asked for once a call.
  local is_rare = call('EXISTS', Q .. 'cancels', Q .. 'children', Q .. 'waiters', Q .. 'watchers', Q .. 'expiries', Q .. 'limits') > 0
  if is_rare then
    remove_fields('cancels', ids)
    remove_members('expiries', ids)
  end
  local keep = tonumber(call('HGET', Q .. 'meta', 'keep_completed')) or COMPLETED_KEPT
  local over = call('ZCARD', Q .. 'completed') - keep
  if over > 0 then
-- Included here, since to make its functions takes time that a queue below its retention need not spend.
--@include forget
    local popped, old = call('ZPOPMIN', Q .. 'completed', math.min(over, 2 * done)), {}
    for i = 1, #popped, 2 do old[#old + 1] = popped[i] end
    forget(old)
    count('trimmed', #old)
  end
  count('completed', done)
  count('run_ms', run_ms)
  local runs, waits = {}, {}
  for i = 1, #buckets, 2 do
    local run, wait = string.byte(buckets, i) - 65, string.byte(buckets, i + 1) - 65
    runs[run] = (runs[run] or 0) + 1
    waits[wait] = (waits[wait] or 0) + 1
  end
  for bucket, hits in pairs(runs) do redis.pcall('HINCRBY', minute_key, 'run' .. bucket, hits) end
  for bucket, hits in pairs(waits) do redis.pcall('HINCRBY', minute_key, 'wait' .. bucket, hits) end
  local worker = string.match(records[1], '^[^~]*~[^~]*~([^|]*)|') or ''
  event('e', 'completed', 'w', worker, 'i', table.concat(ids, ','))
  if is_rare and call('EXISTS', Q .. 'limits') == 1 then
--@include slots
    for i = 1, done do vacate(ids[i], 'ok') end
    tell_of_room()
  end
  if is_rare then
-- Included here, since to make its functions takes time that most calls need not spend.
--@include dependents
    for i = 1, done do
      tell_waiters(ids[i])
      settle(ids[i], 'completed')
    end
  end
end
if not words then return {'OK'} end
local reply = {'MIXED'}
for i = 1, n do reply[i + 1] = words[i] end
return reply
