-- foreign: whether an id is of another queue, from the id alone (tq_core.ids).
local own_name, own_number = string.match(Q, '^tq:{(.*)}:$'), tonumber(call('HGET', Q .. 'meta', 'number') or '')
local DIGITS = '0123456789abcdefghjkmnpqrstvwxyz'
local function is_foreign(id)
  local name = string.match(id, '@([^@]*)$')
  if name then return name ~= own_name end
  local bits = 0
  for at = 11, 14 do bits = bits * 32 + (string.find(DIGITS, string.sub(id, at, at), 1, true) or 1) - 1 end
  return math.floor(bits / 16) ~= own_number
end
