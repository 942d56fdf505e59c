-- lines: what becomes of the lines in which tasks wait for limits when some of them will not run.
--@include gates
--@include body
-- A task that will not run leaves its line; were it on its way through `pending`, the next of the line takes its turn.
local function leave_lines(id, body)
  local key, task_type = gates_of(body)
  for _, gate in ipairs({'!' .. task_type, key ~= '' and key or nil}) do
    call('ZREM', Q .. 'parked', in_line(gate, place_of(body), id))
    look_again(gate, now)
  end
end

-- Tasks that were taken out of `pending` or `blocked` leave their lines, if there are any.
local function leave_all_lines(ids)
  if #ids == 0 or call('EXISTS', Q .. 'parked') == 0 then return end
  for i = 1, #ids do leave_lines(ids[i], call('HGET', Q .. 'bodies', ids[i])) end
end
