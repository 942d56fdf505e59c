-- give_back: returns at once all that a dead worker, or a claim whose answer was lost, still holds.
--
-- ARGV  1 now
--       2 needle      "~WORKER|" for a worker's tasks, "-NONCE~" for those of one claim
--       3 detail      JSON about the crash: exit code, host
--       4 alike       as in fail
--       then          ids that were running, in company, when the process died; all others had not started
-- Reply {"OK", n unstarted, ids returned, words}   words: what became of each started one: pending, failed, cancelled
-- Moves running -> pending (started: to run alone next), failed as poison, or cancelled.
-- Emits released, crashed, failed. Cost O(running).
--@include prelude
--@include sound
--@include prime
--@include crash
--@include slots
local started = {}
-- Of several that ran in a process that died nobody knows which did it: that says nothing about their types.
local how = #ARGV == 5 and 'failed' or nil
for i = 5, #ARGV do started[ARGV[i]] = true end
local all = call('HGETALL', Q .. 'tokens')
local unstarted, ids, words = {}, {}, {}
for i = 1, #all, 2 do
  local id, token = all[i], all[i + 1]
  if string.find(token, ARGV[2], 1, true) then
    local body = call('HGET', Q .. 'bodies', id)
    local asked = call('HGET', Q .. 'cancels', id)
    stop_running(id, started[id] and not asked and how or nil)
    if not body then count('ghost', 1)
    elseif started[id] then
      local word = after_crash(id, body, token, false, ARGV[3], ARGV[4])
      ids[#ids + 1] = id
      words[#words + 1] = word
      count('crashed', 1)
      if word ~= 'pending' then count(word, 1) end
      event('e', word == 'pending' and 'crashed' or word, 'i', id, 'r', word == 'failed' and 'poison' or 'crash')
    elseif asked then
      end_cancelled(id, body, '|', 'cancelled', trail_of(id).failures, 0, asked)
      count('cancelled', 1)
      event('e', 'cancelled', 'i', id)
    else
      put_back(id, body)
      unstarted[#unstarted + 1] = id
    end
  end
end
if #unstarted > 0 then
  count('released', #unstarted)
  event('e', 'released', 'i', table.concat(unstarted, ','), 'r', 'unstarted')
end
if #unstarted + #ids > 0 then wake() end
return {'OK', #unstarted, ids, words}
