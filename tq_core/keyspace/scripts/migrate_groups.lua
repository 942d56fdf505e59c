-- migrate_groups: puts failed tasks that are in no group into one, as the tasks that fail now are; from schema 1 to 2.
--
-- ARGV  1 now
--       2 first       rank among the failed tasks, oldest first, from which it looks on
--       3 n           how many at most it looks at; 0 only counts
-- Reply {"OK", n grouped, rank to go on from or "" at the end, n failed tasks that are in no group}
-- Moves none. Emits nothing. Cost O(n log N).
--@include prelude
--@include groups
local ALIKE_CHARS = 300 -- tq_core.keyspace.wire.MAX_ALIKE_CHARS

-- What a failure brings to its group, read back from its record; see tq_core.keyspace.wire.alike.
local function alike_of(detail)
  local is_json, found = pcall(cjson.decode, detail)
  if not is_json or type(found) ~= 'table' then return '||{}' end
  local error = {}
  for _, field in ipairs({'type', 'message', 'exit_code', 'signal'}) do
    local value = found[field]
    if type(value) == 'number' then value = string.format('%.14g', value) end
    if type(value) == 'string' then
      -- The half of a letter that a cut may leave is no text.
      if #value > ALIKE_CHARS then value = string.gsub(string.sub(value, 1, ALIKE_CHARS), '[\192-\255][\128-\191]*$', '') end
      error[field] = value
    end
  end
  local group = type(found.fingerprint) == 'string' and string.match(found.fingerprint, '^[%w_-]+$') or ''
  local version = type(found.code_version) == 'string' and string.gsub(found.code_version, '[|,%s]', '_') or ''
  return (#group <= 64 and group or '') .. '|' .. string.sub(version, 1, 40) .. '|' .. (next(error) and cjson.encode(error) or '{}')
end

local first, n, grouped, looked = tonumber(ARGV[2]), tonumber(ARGV[3]), 0, 0
if n > 0 then
  local flat, ids = call('ZRANGE', Q .. 'failed', first, first + n - 1, 'WITHSCORES'), {}
  for i = 1, #flat, 2 do ids[#ids + 1] = flat[i] end
  looked = #ids
  local known, records, bodies = get_fields('grouped', ids), get_fields('records', ids), get_fields('bodies', ids)
  for i = 1, #ids do
    if not known[i] then
      local reason, detail = string.match(records[i] or '', '^[^|]*|failed:([^|]*)|[^|]*|[^|]*|(.*)$')
      now_ms = string.format('%.0f', tonumber(flat[i * 2])) -- a group says when its tasks failed
      join_group(ids[i], bodies[i], reason or 'error', alike_of(detail or ''))
      grouped = grouped + 1
    end
  end
end
return {'OK', grouped, looked == n and n > 0 and first + n or '', call('ZCARD', Q .. 'failed') - call('HLEN', Q .. 'grouped')}
