-- gates: what limits and breakers hold back. A gate is a limit key, or "!" and a task type (no key holds "!" or ">").
-- A task that finds its gate shut is blocked and stands in `parked` as "GATE>place>id": a gate's line is a range, the first
-- served first, and "?" is the character after ">". `gates` says when to look at a line again: one that may move has an
-- entry there, or a task on its way through `pending`, or waits for one of its holders to end. `limits`, whose `since` is
-- always set, is there while any of this may be, so that other queues pay for one key more in an EXISTS.
local function gates_of(body)
  local task_type, options = string.match(body or '', '^%d+|%d+|([^|]*)|%d+|[^|]*|([^|]*)|')
  if not options then return '', '' end
  -- A quote inside another option is escaped, so this is found only where it is a name.
  return string.match(options, '"limit_key":"([^"]*)"') or '', task_type
end

local function in_line(gate, place, id)
  return gate .. '>' .. string.format('%016.0f', tonumber(place) or 0) .. '>' .. id
end

local function of_gate(gate)
  return '[' .. gate .. '>', '(' .. gate .. '?'
end

local function look_again(gate, at_ms)
  if call('ZLEXCOUNT', Q .. 'parked', of_gate(gate)) > 0 then
    call('ZADD', Q .. 'gates', string.format('%.0f', at_ms), gate)
  else call('ZREM', Q .. 'gates', gate) end
end
