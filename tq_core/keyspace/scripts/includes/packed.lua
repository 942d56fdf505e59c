-- packed: values in one string, each after its length, since any of them may hold any byte.
local function pack(values)
  for i = 1, #values do values[i] = #values[i] .. ':' .. values[i] end
  return table.concat(values)
end

local function values_of(text)
  local values, at = {}, 1
  while at <= #text do
    local length, start = string.match(text, '^(%d+):()', at)
    if not length then break end
    at = start + tonumber(length)
    values[#values + 1] = string.sub(text, start, at - 1)
  end
  return values
end
