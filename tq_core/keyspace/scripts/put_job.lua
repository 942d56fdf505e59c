-- put_job: writes down what is to be done to the tasks that a filter fits, for whoever has time to do a part of it.
--
-- ARGV  1 now
--       2 job         its id, the op of all that it does
--       3 spec        JSON (tq_core.roles.jobs.Job)
--       4 cursor      where to begin
--       5 open_max    jobs of the queue that may be open
--       6 kept        ended jobs that are remembered
-- Reply {"OK"}   {"FULL"} so many are open
-- Moves none. Emits job. Cost O(kept).
--@include prelude
--@include newer
local job = ARGV[2]
if call('HEXISTS', Q .. 'jobs', job) == 1 then return {'OK'} end
if call('ZCARD', Q .. 'job_leases') >= tonumber(ARGV[5]) then return {'FULL'} end
call('HSET', Q .. 'jobs', job, ARGV[3])
call('ZADD', Q .. 'job_leases', 0, job)
call('HSET', Q .. 'job_notes', 'until:' .. job, now_ms, 'cursor:' .. job, ARGV[4], 'changed:' .. job, now_ms,
  'fence:' .. job, 1)
local over = call('ZCARD', Q .. 'job_ends') - tonumber(ARGV[6])
if over > 0 then
  local old = call('ZRANGE', Q .. 'job_ends', 0, over - 1)
  for i = 1, #old do
    call('ZREM', Q .. 'job_ends', old[i])
    call('HDEL', Q .. 'jobs', old[i])
    for _, note in ipairs({'until:', 'cursor:', 'changed:', 'fence:', 'done:', 'looked:', 'skipped:', 'status:'}) do
      call('HDEL', Q .. 'job_notes', note .. old[i])
    end
  end
end
event('e', 'job', 'r', 'begun')
return {'OK'}
