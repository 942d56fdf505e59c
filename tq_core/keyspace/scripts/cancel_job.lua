-- cancel_job: ends a job before it is done; what it has done stays.
--
-- ARGV  1 now
--       2 job
--       3 actor
--       4 op          id of the operation
--       5 detail      JSON: by, why, job
-- Reply {"OK"}   {"ENDED", status}   {"GONE"}
-- Moves none. Emits job. Cost O(log N).
--@include prelude
--@include prime
--@include audit
local job = ARGV[2]
if call('HEXISTS', Q .. 'jobs', job) == 0 then return {'GONE'} end
if call('ZREM', Q .. 'job_leases', job) == 0 then
  return {'ENDED', call('HGET', Q .. 'job_notes', 'status:' .. job) or ''}
end
call('ZADD', Q .. 'job_ends', now_ms, job)
call('HSET', Q .. 'job_notes', 'status:' .. job, 'cancelled', 'changed:' .. job, now_ms)
event('e', 'job', 'r', 'cancelled', 'by', ARGV[3])
audit(ARGV[3], ARGV[4], 'cancel_job', 1, ARGV[5])
return {'OK'}
