-- unique_mode: how a task's unique key is freed: 'finished' with its end, 'started' when it is claimed, 'for' after a time.
local function unique_mode_of(body)
  local options = string.match(body or '', '^%d+|%d+|[^|]*|%d+|[^|]*|([^|]*)|') or ''
  -- Within a text of the JSON the first quote would have a backslash before the second.
  if string.find(options, '"unique_for_s":', 1, true) then return 'for' end
  return string.find(options, '"unique_until":"started"', 1, true) and 'started' or 'finished'
end
