-- watches: asks the queues of foreign parents to tell when these end.
--@include outbox
local WATCHED_A_MESSAGE = 500

-- `watch` is the number that the children of this call carry; where `again`, parents that have ended count as done. With
-- `delay_ms` the questions are put later; returns the messages.
local function ask_for(parents, watch, again, delay_ms)
  local asked, ids, messages = {}, {}, {}
  for i = 1, #parents do
    if not asked[parents[i]] then
      asked[parents[i]] = true
      ids[#ids + 1] = parents[i]
    end
    if #ids == WATCHED_A_MESSAGE or (i == #parents and #ids > 0) then
      messages[#messages + 1] = post('watch', {watch = watch, again = again, ids = ids}, delay_ms)
      ids = {}
    end
  end
  return messages
end
