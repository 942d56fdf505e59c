-- body: reads the header of a body (tq_core.keyspace.wire) from the left; the payload may hold anything.
local function place_of(body)
  return string.match(body or '', '^%d+') or '0'
end

local function max_attempts_of(body)
  return tonumber(string.match(body or '', '^%d+|%d+|[^|]*|(%d+)|')) or 1
end

local function unique_key_of(body)
  return string.match(body or '', '^%d+|%d+|[^|]*|%d+|([^|]*)|') or ''
end

-- The same body at a new place of the same priority.
local function replaced(body, seq)
  local band = math.floor(tonumber(place_of(body)) / PRIORITY_BAND)
  local place = string.format('%.0f', band * PRIORITY_BAND + seq)
  return place, place .. (string.match(body, '|.*$') or '')
end
