-- unique: frees the unique key that a task holds, if it holds it; not one that is locked for a time.
--@include body
local function free_unique(id, body)
  local key = unique_key_of(body)
  if key == '' then return end
  call('HDEL', Q .. 'until', id)
  if call('HGET', Q .. 'unique', key) == id and not call('ZSCORE', Q .. 'locks', key) then
    call('HDEL', Q .. 'unique', key)
  end
end
