-- audit: writes down what a person changed: who, what, how many and the first of their ids; in the same step as the change.
-- The calls of one operation on many tasks share `op`, so readers add them up.
--@include newer
local AUDITED_IDS = 20
local function write_down(actor, op, action, n, detail, ids)
  call('XADD', Q .. 'audit', 'MAXLEN', '~', 10000, '*',
    'at', now_ms, 'by', actor, 'op', op, 'do', action, 'n', n, 'detail', detail,
    'i', ids and table.concat(ids, ',', 1, math.min(#ids, AUDITED_IDS)) or '')
end

local function audit(actor, op, action, n, detail, ids)
  write_down(actor, op, action, n, detail, ids)
  -- What a job has done is counted in the step that does it: no crash makes it wrong.
  if call('HEXISTS', Q .. 'jobs', op) == 1 then call('HINCRBY', Q .. 'job_notes', 'done:' .. op, n) end
end
