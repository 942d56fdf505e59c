-- audit: checks that a queue's structures agree with one another; for tests and `tq audit`, not for busy hours.
--
-- ARGV  1 now
--       2 limit       a queue with more tasks is refused: the check reads all of them in one step
--       3 found_max   findings a call
-- Reply {"OK", n tasks, {word, subject, ...}}   {"LARGE", n tasks}
-- Moves none. Emits nothing. Cost O(N).
--@include prelude
--@include unique_mode
--@include foreign
local STATES = {'blocked', 'scheduled', 'pending', 'running', 'retrying', 'completed', 'failed', 'cancelled'}
local TERMINAL = {completed = true, failed = true, cancelled = true}
local SENTINEL = string.rep('~', 70)
local total = call('HLEN', Q .. 'bodies')
if total + call('HLEN', Q .. 'trash') > tonumber(ARGV[2]) then return {'LARGE', total} end
local found, found_max = {}, tonumber(ARGV[3])
local function report(word, subject)
  if #found < found_max * 2 then
    found[#found + 1] = word
    found[#found + 1] = subject
  end
end

local function pairs_of(hash)
  local flat, out = call('HGETALL', Q .. hash), {}
  for i = 1, #flat, 2 do out[flat[i]] = flat[i + 1] end
  return out
end

local bodies, tokens, records = pairs_of('bodies'), pairs_of('tokens'), pairs_of('records')
local state_of, indexed = {}, 0
for _, state in ipairs(STATES) do
  for _, id in ipairs(call('ZRANGE', Q .. state, 0, -1)) do
    if id ~= SENTINEL then
      if state_of[id] then report('two_states', id .. ' ' .. state_of[id] .. ' ' .. state)
      else indexed = indexed + 1 end
      state_of[id] = state
      if not bodies[id] then report('no_body', id .. ' ' .. state) end
      if state == 'running' and not tokens[id] then report('running_without_token', id) end
      if TERMINAL[state] and not records[id] then report('ended_without_record', id .. ' ' .. state) end
      if not TERMINAL[state] and records[id] then report('record_of_live_task', id .. ' ' .. state) end
      if records[id] and TERMINAL[state] then
        local outcome = string.match(records[id], '^[^|]*|([a-z]+)')
        if (outcome == 'ok' and 'completed' or outcome) ~= state then report('record_disagrees', id .. ' ' .. state) end
      end
    end
  end
end
for id in pairs(bodies) do
  if not state_of[id] then report('in_no_state', id) end
end
for id in pairs(tokens) do
  if id ~= '!' and state_of[id] ~= 'running' then report('token_of_idle_task', id) end
end
for id in pairs(records) do
  if not bodies[id] then report('orphan_record', id) end
end
for _, hash in ipairs({'trail', 'attempts', 'cancels', 'progress', 'logs'}) do
  for _, id in ipairs(call('HKEYS', Q .. hash)) do
    if not bodies[id] then report('orphan_' .. hash, id) end
    if hash == 'cancels' and state_of[id] ~= 'running' then report('cancel_of_idle_task', id) end
  end
end
for id in pairs(pairs_of('waiters')) do
  if not state_of[id] or TERMINAL[state_of[id]] then report('waiter_of_ended', id) end
end
local UNIQUE_KEY = '^%d+|%d+|[^|]*|%d+|([^|]*)|'
local holders, locks, until_started = pairs_of('unique'), {}, pairs_of('until')
for _, key in ipairs(call('ZRANGE', Q .. 'locks', 0, -1)) do
  locks[key] = true
  if not holders[key] then report('lock_of_nobody', key) end
end
for key, id in pairs(holders) do
  local body = bodies[id]
  -- A key that is locked for a time outlives its task, whose id may be another's by then.
  local ends_with_task = not locks[key]
  if ends_with_task and (not body or not state_of[id] or TERMINAL[state_of[id]]) then
    report('unique_held_by_ended', key .. ' ' .. id)
  elseif ends_with_task and string.match(body, UNIQUE_KEY) ~= key then report('unique_of_other_key', key .. ' ' .. id) end
end
for id, body in pairs(bodies) do
  local key = string.match(body, UNIQUE_KEY) or ''
  if key ~= '' and state_of[id] and not TERMINAL[state_of[id]] and holders[key] ~= id and unique_mode_of(body) == 'finished'
  then report('unique_not_held', id .. ' ' .. key) end
end
local UNCLAIMED = {blocked = true, scheduled = true, pending = true}
for id, key in pairs(until_started) do
  if not UNCLAIMED[state_of[id] or ''] then report('unclaimed_but_begun', id)
  elseif holders[key] ~= id then report('unique_not_held', id .. ' ' .. key) end
end
local expiries = call('ZRANGE', Q .. 'expiries', 0, -1, 'WITHSCORES')
for i = 1, #expiries, 2 do
  local id, is_aside = expiries[i], tonumber(expiries[i + 1]) >= 4503599627370496 -- 2^52
  if not state_of[id] or TERMINAL[state_of[id]] then report('expiry_of_ended', id)
  elseif is_aside and state_of[id] ~= 'running' then report('expiry_that_is_not_seen', id) end
end
local schedules, notes, fires = pairs_of('schedules'), pairs_of('schedule_notes'), {}
for _, name in ipairs(call('ZRANGE', Q .. 'fires', 0, -1)) do
  fires[name] = true
  if not schedules[name] then report('orphan_fire', name) end
  if notes['paused:' .. name] then report('paused_schedule_fires', name) end
end
for name in pairs(schedules) do
  if not fires[name] and not notes['paused:' .. name] then report('schedule_never_fires', name) end
end
for note in pairs(notes) do
  if not schedules[string.match(note, ':(.*)$') or ''] then report('orphan_schedule_note', note) end
end
local grouped, groups, alike = pairs_of('grouped'), pairs_of('groups'), {}
for _, member in ipairs(call('ZRANGE', Q .. 'alike', 0, -1)) do
  local group, id = string.match(member, '^([^ ]*) (.*)$')
  if not id or grouped[id] ~= group then report('group_disagrees', member) else alike[id] = true end
end
local counts = {}
for id, group in pairs(grouped) do
  counts[group] = (counts[group] or 0) + 1
  if state_of[id] ~= 'failed' then report('grouped_not_failed', id .. ' ' .. group)
  elseif not alike[id] then report('group_disagrees', group .. ' ' .. id) end
end
for id, state in pairs(state_of) do
  if state == 'failed' and not grouped[id] then report('failed_without_group', id) end
end
for group in pairs(groups) do
  if not counts[group] then report('group_without_tasks', group) end
end
for group in pairs(counts) do
  if not groups[group] then report('group_without_facts', group) end
end
-- Each edge stands in two sets, from a task that is blocked to one that has not ended.
local parents_of, edges, waits = {}, {}, pairs_of('waits')
for _, edge in ipairs(call('ZRANGE', Q .. 'parents', 0, -1)) do
  local child, parent = string.match(edge, '^([^>]*)>(.*)$')
  edges[(parent or '') .. '>' .. (child or '')] = true
  if not child or state_of[child] ~= 'blocked' then report('waits_but_is_not_blocked', child or edge)
  else
    parents_of[child] = parents_of[child] or {}
    table.insert(parents_of[child], parent)
    if is_foreign(parent) then
      if not string.find(waits[child] or '', '^%l+|%d*|%d+') then report('waits_for_foreign_unasked', child .. ' ' .. parent) end
    elseif not state_of[parent] or TERMINAL[state_of[parent]] then report('waits_for_ended', child .. ' ' .. parent) end
  end
end
for _, edge in ipairs(call('ZRANGE', Q .. 'children', 0, -1)) do
  if not edges[edge] then report('child_that_does_not_wait', edge) end
  edges[edge] = nil
end
for edge in pairs(edges) do report('parent_that_does_not_know', edge) end
--@include body
--@include gates
local parked_at, lines = {}, {}
for _, member in ipairs(call('ZRANGE', Q .. 'parked', 0, -1)) do
  local gate, place, id = string.match(member, '^([^>]*)>(%d*)>(.*)$')
  local key, task_type = gates_of(bodies[id or ''])
  if not id or state_of[id] ~= 'blocked' then report('parked_but_is_not_blocked', member)
  elseif parents_of[id] or parked_at[id] then report('parked_and_waits', member)
  elseif (gate ~= key and gate ~= '!' .. task_type) or in_line(gate, place_of(bodies[id]), id) ~= member then
    report('parked_in_wrong_line', member)
  end
  if id then parked_at[id] = gate end
  if gate then lines[gate] = true end
end
local is_limited, slots = call('EXISTS', Q .. 'limits') == 1, pairs_of('slots')
local limits, breakers, held_by, on_the_way = pairs_of('limits'), pairs_of('breakers'), {}, {}
if not is_limited and call('EXISTS', Q .. 'parked', Q .. 'slots', Q .. 'holders') > 0 then
  report('limits_unmarked', Q)
end
for id, slot in pairs(slots) do
  local key, task_type = gates_of(bodies[id])
  if state_of[id] ~= 'running' then report('slot_of_idle_task', id)
  elseif slot ~= key .. '>' and slot ~= key .. '>' .. task_type then report('slot_of_other_gate', id .. ' ' .. slot)
  elseif key ~= '' and not call('ZSCORE', Q .. 'holders', key .. '>' .. id) then report('key_that_is_not_counted', id) end
end
for _, member in ipairs(call('ZRANGE', Q .. 'holders', 0, -1)) do
  local gate, id = string.match(member, '^([^>]*)>(.*)$')
  local slot = slots[id or ''] or ''
  if not id or (gate ~= string.match(slot, '^[^>]*') and gate ~= '!' .. (string.match(slot, '>(.*)$') or '')) then
    report('holder_without_slot', member)
  else held_by[gate] = (held_by[gate] or 0) + 1 end
end
for id, state in pairs(state_of) do
  if is_limited and (state == 'pending' or state == 'running') then
    local key, task_type = gates_of(bodies[id])
    if state == 'pending' then on_the_way[key], on_the_way['!' .. task_type] = true, true
    elseif key ~= '' and not slots[id] then report('key_that_is_not_counted', id) end
  end
end
-- A line moves when its gate is looked at, when a task on its way through `pending` is claimed, or when a holder ends.
for gate in pairs(is_limited and lines or {}) do
  local limit, is_shut = tonumber(limits['key_running:' .. gate] or limits['key_running'] or ''), false
  if string.sub(gate, 1, 1) == '!' then
    local state = breakers['state:' .. string.sub(gate, 2)] or ''
    is_shut = string.match(state, '^open|%d+||') ~= nil
    limit = string.match(state, '^half') and tonumber(string.match(limits['breaker:' .. string.sub(gate, 2)] or '', '(%d+)$'))
  end
  if not (is_shut or call('ZSCORE', Q .. 'gates', gate) or on_the_way[gate] or (limit and (held_by[gate] or 0) >= limit))
  then report('line_that_never_moves', gate) end
end
for id in pairs(waits) do
  if state_of[id] ~= 'blocked' then report('waits_but_is_not_blocked', id) end
end
for id in pairs(pairs_of('watchers')) do
  if not state_of[id] or TERMINAL[state_of[id]] then report('watched_but_ended', id) end
end
local announced = {}
for _, message in ipairs(call('ZRANGE', Q .. 'outbox', 0, -1)) do
  local is_json, read = pcall(cjson.decode, message)
  if not is_json or type(read) ~= 'table' or not read.kind or not read.at then report('message_unreadable', message)
  elseif read.kind == 'move' or read.kind == 'return' then
    for at = 2, #read.ids, 2 do
      announced[read.ids[at]] = true
      if call('HEXISTS', Q .. 'leaving', read.ids[at]) == 0 then report('moved_and_not_kept', read.ids[at]) end
    end
  end
end
for _, id in ipairs(call('HKEYS', Q .. 'leaving')) do
  if not announced[id] then report('leaving_for_nowhere', id) end
end
-- 1 = on the way that is being walked, 2 = known to end at tasks that are not blocked.
local walked = {}
for id, state in pairs(state_of) do
  if state == 'blocked' and not (parents_of[id] and waits[id]) and not parked_at[id] then report('blocked_without_reason', id) end
  local way = {state == 'blocked' and id or nil}
  while #way > 0 do
    local here, up = way[#way], nil
    if walked[here] ~= 2 then
      walked[here] = 1
      for _, parent in ipairs(parents_of[here] or {}) do
        if walked[parent] == 1 then report('waits_in_a_circle', here .. ' ' .. parent)
        elseif parents_of[parent] and walked[parent] ~= 2 then up = parent end
      end
    end
    if up then way[#way + 1] = up
    else
      walked[here] = 2
      way[#way] = nil
    end
  end
end
-- What can be undone: named in two places, of an operation that is known, and never a task that is there as it was.
local trash, operated, names = pairs_of('trash'), pairs_of('operated'), {}
for _, name in ipairs(call('ZRANGE', Q .. 'trashed', 0, -1)) do
  names[name] = true
  if not trash[name] then report('trash_disagrees', name) end
  if not call('ZSCORE', Q .. 'operations', string.match(name, '^[^ ]*')) then report('trash_of_no_operation', name) end
end
for name, packed in pairs(trash) do
  local body = bodies[string.match(name, '[^ ]*$')]
  if not names[name] then report('trash_disagrees', name) end
  if body and string.sub(packed, 1, 9) == '7:deleted' and string.find(packed, #body .. ':' .. body, 1, true) then
    report('in_trash_and_there', name)
  end
end
for op in pairs(operated) do
  if not call('ZSCORE', Q .. 'operations', op) then report('trash_of_no_operation', op) end
end
for _, op in ipairs(call('ZRANGE', Q .. 'operations', 0, -1)) do
  if not operated[op] then report('trash_of_no_operation', op) end
end
local jobs = pairs_of('jobs')
for id in pairs(jobs) do
  local is_open, has_ended = call('ZSCORE', Q .. 'job_leases', id), call('ZSCORE', Q .. 'job_ends', id)
  if not is_open == not has_ended then report('job_neither_open_nor_ended', id) end
end
for note in pairs(pairs_of('job_notes')) do
  if not jobs[string.match(note, '^%l+:(.*)$') or ''] then report('orphan_job_note', note) end
end
for _, ids in ipairs({call('ZRANGE', Q .. 'job_leases', 0, -1), call('ZRANGE', Q .. 'job_ends', 0, -1)}) do
  for _, id in ipairs(ids) do
    if not jobs[id] then report('orphan_job_note', id) end
  end
end
local counters = pairs_of('counters')
local function counter(field) return tonumber(counters[field]) or 0 end
local expected = counter('enqueued') - counter('discarded') - counter('dropped') - counter('trimmed') + counter('restored')
  + counter('moved_in') - counter('moved_out')
if expected ~= total then report('count_of_tasks', total .. ' kept, counters say ' .. expected) end
local sums = {}
local first, last, STEP = math.floor(now / 60000) - 2880, math.floor(now / 60000) + 1, 100
for from = first, last, STEP do
  local names = {}
  for minute = from, math.min(from + STEP - 1, last) do names[#names + 1] = Q .. 'minute:' .. minute end
  -- Most minutes of a quiet queue have no counts: a hundred are asked for at once.
  if call('EXISTS', unpack(names)) > 0 then
    for _, name in ipairs(names) do
      local flat = call('HGETALL', name)
      for i = 1, #flat, 2 do sums[flat[i]] = (sums[flat[i]] or 0) + (tonumber(flat[i + 1]) or 0) end
    end
  end
end
for _, field in ipairs({'enqueued', 'completed', 'retrying', 'failed', 'cancelled', 'crashed', 'lost', 'discarded', 'restored'}) do
  if (sums[field] or 0) > counter(field) then report('minutes_exceed_total', field) end
end
return {'OK', total, found}
