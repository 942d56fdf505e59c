-- unique: frees the unique key that a task holds, if it holds it.
--@include body
local function free_unique(id, body)
  local key = unique_key_of(body)
  if key ~= '' and call('HGET', Q .. 'unique', key) == id then call('HDEL', Q .. 'unique', key) end
end
