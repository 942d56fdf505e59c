-- view: the raw parts of one task, in the order of tq_core.keyspace.wire.View.
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
    call('ZSCORE', Q .. 'expiries', id)}
end
