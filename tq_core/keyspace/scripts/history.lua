-- history: a queue's counters of past minutes, added up over steps.
--
-- ARGV  1 now
--       2 first       the first minute, counted from 1970
--       3 count       how many minutes; at most 2,880 are kept
--       4 step        minutes a step; steps begin where their number divides the minute
-- Reply {"OK", now ms, {first minute of a step, {field, value, ...}}...}   steps without counts are left out
-- Moves none. Emits nothing. Cost O(count).
--@include prelude
local first, step = tonumber(ARGV[2]), tonumber(ARGV[4])
local last = first + math.min(tonumber(ARGV[3]), 2880) - 1
local EMPTY_AT_ONCE = 100
local steps, order = {}, {}
for from = first, last, EMPTY_AT_ONCE do
  local names = {}
  for minute = from, math.min(from + EMPTY_AT_ONCE - 1, last) do names[#names + 1] = Q .. 'minute:' .. minute end
  -- Most minutes of a quiet queue have no counts: a hundred are asked for at once.
  if call('EXISTS', unpack(names)) > 0 then
    for i = 1, #names do
      local minute, flat = from + i - 1, call('HGETALL', names[i])
      local start = minute - minute % step
      local into = steps[start]
      if #flat > 0 and not into then
        into = {}
        steps[start], order[#order + 1] = into, start
      end
      for at = 1, #flat, 2 do into[flat[at]] = (into[flat[at]] or 0) + (tonumber(flat[at + 1]) or 0) end
    end
  end
end
local reply = {'OK', now_ms}
for _, start in ipairs(order) do
  local flat = {}
  for field, value in pairs(steps[start]) do
    flat[#flat + 1], flat[#flat + 2] = field, string.format('%.0f', value)
  end
  reply[#reply + 1] = {start, flat}
end
return reply
