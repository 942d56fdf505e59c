-- forget: removes all that is kept of tasks whose index entries are gone already.
--@include chunks
--@include unique
--@include waiters
local function forget(ids)
  if #ids == 0 then return end
  if call('EXISTS', Q .. 'unique') == 1 then
    local bodies = get_fields('bodies', ids)
    for i = 1, #ids do
      if bodies[i] then free_unique(ids[i], bodies[i]) end
    end
  end
  remove_fields('bodies', ids)
  remove_fields('records', ids)
  if call('EXISTS', Q .. 'trail', Q .. 'attempts', Q .. 'cancels', Q .. 'waiters', Q .. 'expiries', Q .. 'progress',
    Q .. 'logs') > 0 then
    remove_fields('trail', ids)
    remove_fields('attempts', ids)
    remove_fields('cancels', ids)
    remove_fields('progress', ids)
    remove_fields('logs', ids)
    remove_members('expiries', ids)
    for i = 1, #ids do tell_waiters(ids[i]) end
  end
end
