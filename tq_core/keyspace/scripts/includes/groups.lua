-- groups: failed tasks by the fingerprint of their error, so that what failed alike is counted without reading it.
-- grouped: id -> group. alike: members "GROUP id", all at score 0, so that a group is a range: counted, paged, its oldest
-- first. groups: group -> first_ms|last_ms|task type|reason|versions|error, gone with the group's last task.
--@include chunks
--@include body
local VERSIONS_KEPT = 5

local function range_of(group)
  return '[' .. group .. ' ', '(' .. group .. '!' -- '!' comes right after the space
end

-- `alike`: fingerprint|code version|error, as JSON of type and message (tq_core.keyspace.wire.alike).
-- A task without a fingerprint is grouped by its reason and type.
local function join_group(id, body, reason, alike)
  local task_type = string.match(body or '', '^%d+|%d+|([^|]*)|') or '?'
  local group, version, text = string.match(alike, '^([%w_-]*)|([^|,]*)|(.*)$')
  if not text then group, version, text = '', '', '{}' end
  if group == '' then group = string.sub(string.gsub(reason .. ':' .. task_type, '[^%w_.:-]', '_'), 1, 200) end
  local first, versions = string.match(call('HGET', Q .. 'groups', group) or '', '^(%d+)|%d+|[^|]*|[^|]*|([^|]*)|')
  local kept = {}
  for known in string.gmatch(versions or '', '[^,]+') do
    if known ~= version then kept[#kept + 1] = known end
  end
  if version ~= '' then kept[#kept + 1] = version end
  if #kept > VERSIONS_KEPT then table.remove(kept, 1) end
  call('HSET', Q .. 'groups', group, table.concat(
    {first or now_ms, now_ms, task_type, reason, table.concat(kept, ','), text}, '|'))
  call('HSET', Q .. 'grouped', id, group)
  call('ZADD', Q .. 'alike', 0, group .. ' ' .. id)
end

-- Those of the tasks that are in a group leave it.
local function leave_groups(ids)
  if #ids == 0 or call('EXISTS', Q .. 'grouped') == 0 then return end
  local found, members, left = get_fields('grouped', ids), {}, {}
  for i = 1, #ids do
    if found[i] then
      members[#members + 1] = found[i] .. ' ' .. ids[i]
      left[found[i]] = true
    end
  end
  remove_fields('grouped', ids)
  remove_members('alike', members)
  for group in pairs(left) do
    if call('ZLEXCOUNT', Q .. 'alike', range_of(group)) == 0 then call('HDEL', Q .. 'groups', group) end
  end
end
