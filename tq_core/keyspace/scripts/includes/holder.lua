-- holder: the id of the task that holds a unique key; or nil, and true where a lock for a time still stands there that is
-- over: upkeep takes it away in its own time, and until then it must refuse nobody.
local function holder_of(key)
  local holder = call('HGET', Q .. 'unique', key)
  if not holder then return nil, false end
  local until_ms = call('ZSCORE', Q .. 'locks', key)
  if until_ms and tonumber(until_ms) <= now then return nil, true end
  return holder, false
end
