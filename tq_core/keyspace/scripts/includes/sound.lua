-- sound: stops here, before anything is written, where a stranger has put something else in the place of one of the
-- queue's keys. Redis takes nothing back of a script that fails half way, and a task would be left in no state at all.
-- claim, complete and enqueue do without, since they are called so often: they add before they remove.
for _, hash in ipairs({'bodies', 'records', 'trail', 'attempts', 'cancels', 'unique', 'grouped', 'groups', 'waits', 'waiters', 'meta', 'counters'}) do
  call('HEXISTS', Q .. hash, '')
end
for _, zset in ipairs({'pending', 'running', 'retrying', 'scheduled', 'blocked', 'completed', 'failed', 'cancelled', 'alike', 'parents', 'children', 'wake'}) do
  call('ZSCORE', Q .. zset, '')
end
