-- advance_job: writes down how far a job is, if whoever says so still holds it.
--
-- ARGV  1 now
--       2 job
--       3 fence
--       4 cursor      where the next part begins
--       5 looked      tasks that were looked at
--       6 skipped     tasks that fit and were left
--       7 status      done | failed; "" it goes on
--       8 lease_ms    with "": for so long the holder goes on; 0: it lets go
-- Reply {"OK"}   {"STALE"} another holds it, or it has ended; nothing was written
-- Moves none. Emits job. Cost O(log N).
--@include prelude
--@include prime
local job = ARGV[2]
if not call('ZSCORE', Q .. 'job_leases', job) or call('HGET', Q .. 'job_notes', 'fence:' .. job) ~= ARGV[3] then
  return {'STALE'}
end
call('HSET', Q .. 'job_notes', 'cursor:' .. job, ARGV[4], 'changed:' .. job, now_ms)
call('HINCRBY', Q .. 'job_notes', 'looked:' .. job, ARGV[5])
call('HINCRBY', Q .. 'job_notes', 'skipped:' .. job, ARGV[6])
if ARGV[7] ~= '' then
  call('ZREM', Q .. 'job_leases', job)
  call('ZADD', Q .. 'job_ends', now_ms, job)
  call('HSET', Q .. 'job_notes', 'status:' .. job, ARGV[7])
  event('e', 'job', 'r', ARGV[7])
else
  local lease_end = tonumber(ARGV[8]) > 0 and now + tonumber(ARGV[8]) or 0
  call('ZADD', Q .. 'job_leases', string.format('%.0f', lease_end), job)
end
return {'OK'}
