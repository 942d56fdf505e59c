-- breakers: a breaker of a task type opens when too many runs fail, lets a few probes run after a while (half-open), and
-- closes when one of them succeeds. `breakers` has state:TYPE "open|since ms|until ms, nothing = until a person says so|
-- why" or "half|since ms||"; no state = closed; and tally:TYPE "bucket,ok,failed;..." of the window, while it is closed.
--@include gates
local TALLIES = 6

local function tell_breaker(task_type, text)
  event('e', 'breaker', 'r', task_type .. ' ' .. text)
end

local function open_breaker(task_type, until_ms, why)
  call('HSET', Q .. 'breakers', 'state:' .. task_type, 'open|' .. now_ms .. '|' .. until_ms .. '|' .. why)
  call('HDEL', Q .. 'breakers', 'tally:' .. task_type)
  if until_ms ~= '' then look_again('!' .. task_type, tonumber(until_ms)) else call('ZREM', Q .. 'gates', '!' .. task_type) end
  tell_breaker(task_type, 'opened: ' .. why)
end

local function close_breaker(task_type, why)
  call('HDEL', Q .. 'breakers', 'state:' .. task_type, 'tally:' .. task_type)
  look_again('!' .. task_type, now)
  tell_breaker(task_type, 'closed: ' .. why)
end

-- `how` a run of the type ended: ok | failed | nil, which says nothing about the type.
local function judge(task_type, how, is_probe)
  local set = call('HGET', Q .. 'limits', 'breaker:' .. task_type)
  local percent, least, window_ms, cooldown_ms = string.match(set or '', '^([%d.]+)|(%d+)|(%d+)|(%d+)|')
  if not percent then return end
  local until_ms = string.format('%.0f', now + tonumber(cooldown_ms))
  local known = call('HMGET', Q .. 'breakers', 'state:' .. task_type, 'tally:' .. task_type)
  if known[1] then
    -- Runs that began before it opened decide nothing.
    if not is_probe or string.sub(known[1], 1, 4) ~= 'half' then return end
    if how == 'ok' then close_breaker(task_type, 'a probe succeeded')
    elseif how == 'failed' then open_breaker(task_type, until_ms, 'a probe failed')
    else look_again('!' .. task_type, now) end
    return
  end
  if not how then return end
  local this = math.floor(now / (tonumber(window_ms) / TALLIES))
  local ok, failed, older, kept = how == 'ok' and 1 or 0, how == 'failed' and 1 or 0, 0, {}
  local sum = failed
  for bucket, was_ok, was_failed in string.gmatch(known[2] or '', '(%d+),(%d+),(%d+);') do
    -- What a clock that has gone back since has counted is left out: it would count until its time comes again.
    if tonumber(bucket) > this - TALLIES and tonumber(bucket) <= this + 1 then
      sum = sum + tonumber(was_failed)
      if tonumber(bucket) == this then
        ok, failed = ok + tonumber(was_ok), failed + tonumber(was_failed)
      else
        older = older + tonumber(was_ok) + tonumber(was_failed)
        kept[#kept + 1] = bucket .. ',' .. was_ok .. ',' .. was_failed .. ';'
      end
    end
  end
  local runs = older + ok + failed
  if how == 'failed' and runs >= tonumber(least) and sum * 100 >= tonumber(percent) * runs then
    open_breaker(task_type, until_ms, sum .. ' of the last ' .. runs .. ' runs failed')
  else
    kept[#kept + 1] = string.format('%.0f', this) .. ',' .. ok .. ',' .. failed .. ';'
    call('HSET', Q .. 'breakers', 'tally:' .. task_type, table.concat(kept))
  end
end
