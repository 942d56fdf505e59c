-- due_jobs: the open jobs that nobody is busy with.
--
-- ARGV  1 now
--       2 limit
-- Reply ids
-- Moves none. Emits nothing. Cost O(limit).
--@include prelude
return call('ZRANGEBYSCORE', Q .. 'job_leases', '-inf', now_ms, 'LIMIT', 0, tonumber(ARGV[2]))
