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

-- The parents that it was enqueued with, and what it does when one of them does not complete.
local function depends_on(body)
  local options = string.match(body or '', '^%d+|%d+|[^|]*|%d+|[^|]*|([^|]*)|') or ''
  if not string.find(options, '"depends_on"', 1, true) then return {}, 'fail' end
  local is_whole, read = pcall(cjson.decode, options)
  if not is_whole then return {}, 'fail' end
  return read.depends_on, read.on_parent_failure or 'fail'
end

-- The same body at a new place of the same priority.
local function replaced(body, seq)
  local band = math.floor(tonumber(place_of(body)) / PRIORITY_BAND)
  local place = string.format('%.0f', band * PRIORITY_BAND + seq)
  return place, place .. (string.match(body, '|.*$') or '')
end
