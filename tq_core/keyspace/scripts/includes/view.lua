-- view: the raw parts of one task, in the order of tq_core.keyspace.wire.View.
--@include body
--@include gates
local HOLDERS_TOLD = 5

-- Which limit or breaker a waiting task is held back by, in the order of tq_core.keyspace.wire._gate; false where none is.
local function gate_view(id, state, body)
  local limits = call('HMGET', Q .. 'limits', 'running', 'rate', 'key_running', 'key_rate')
  local gate, before, waiting, ids, running, breaker = '', 0, 0, {}, 0, ''
  if state == 'pending' then
    if not (limits[1] or limits[2]) then return false end
    before, waiting = call('ZRANK', Q .. 'pending', id) or 0, call('ZCARD', Q .. 'pending')
    ids = call('ZRANGE', Q .. 'running', 0, HOLDERS_TOLD - 1)
    running = call('ZCARD', Q .. 'running')
    local sentinel = string.rep('~', 70) -- claim.lua
    if call('ZSCORE', Q .. 'running', sentinel) then running = running - 1 end
    if ids[#ids] == sentinel then ids[#ids] = nil end
  else
    local key, task_type = gates_of(body)
    local place = place_of(body)
    if key ~= '' and call('ZSCORE', Q .. 'parked', in_line(key, place, id)) then gate = key
    elseif call('ZSCORE', Q .. 'parked', in_line('!' .. task_type, place, id)) then gate = '!' .. task_type
    else return false end
    local from, to = of_gate(gate)
    before = call('ZLEXCOUNT', Q .. 'parked', from, '(' .. in_line(gate, place, id))
    waiting = call('ZLEXCOUNT', Q .. 'parked', from, to)
    running = call('ZLEXCOUNT', Q .. 'holders', from, to)
    ids = call('ZRANGEBYLEX', Q .. 'holders', from, to, 'LIMIT', 0, HOLDERS_TOLD)
    for i = 1, #ids do ids[i] = string.sub(ids[i], #gate + 2) end
    if gate == key then
      local own = call('HMGET', Q .. 'limits', 'key_running:' .. key, 'key_rate:' .. key)
      limits = {own[1] or limits[3], own[2] or limits[4]}
    else
      breaker = call('HGET', Q .. 'breakers', 'state:' .. task_type) or ''
      limits = {string.match(call('HGET', Q .. 'limits', 'breaker:' .. task_type) or '', '(%d+)$'), false}
    end
  end
  local tokens = {}
  for i = 1, #ids do tokens[i] = call('HGET', Q .. 'tokens', ids[i]) or '' end
  return {gate, before, waiting, limits[1] or '', limits[2] or '', call('ZSCORE', Q .. 'gates', gate) or '', running, ids,
    tokens, breaker, call('ZSCORE', Q .. 'rates', gate) or ''}
end

-- A payload is cut to `payload_max` bytes and its whole length said: a page of large ones must stay cheap.
local function view(id, state, score, payload_max, with_history)
  local body = call('HGET', Q .. 'bodies', id)
  local length = 0
  if body then
    -- A body that cannot be read is all payload.
    local head = string.match(body, '^[^|]*|[^|]*|[^|]*|[^|]*|[^|]*|[^|]*|()') or 1
    length = #body - head + 1
    if length > payload_max then body = string.sub(body, 1, head - 1 + payload_max) end
  end
  return {id, state, score, body, length,
    state == 'running' and call('HGET', Q .. 'tokens', id) or false,
    call('HGET', Q .. 'records', id),
    call('HGET', Q .. 'trail', id),
    with_history and call('HGET', Q .. 'attempts', id) or false,
    call('HGET', Q .. 'cancels', id),
    state == 'pending' and with_history and call('ZRANK', Q .. 'pending', id) or false,
    state == 'blocked' and call('ZRANGEBYLEX', Q .. 'parents', '[' .. id .. '>', '(' .. id .. '?') or false,
    call('ZSCORE', Q .. 'expiries', id),
    with_history and (state == 'blocked' or state == 'pending') and call('EXISTS', Q .. 'limits') == 1
      and gate_view(id, state, body),
    with_history and call('HGET', Q .. 'progress', id) or false}
end
