-- audit: writes down what a person changed: who, what, how many; in the same step as the change.
-- The calls of one operation on many tasks share `op`, so readers add them up.
local function audit(actor, op, action, n, detail)
  call('XADD', Q .. 'audit', 'MAXLEN', '~', 10000, '*',
    'at', now_ms, 'by', actor, 'op', op, 'do', action, 'n', n, 'detail', detail)
end
