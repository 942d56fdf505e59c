-- lease_job: lets one of those who have time do the next part of a job.
--
-- ARGV  1 now
--       2 job
--       3 lease_ms
-- Reply {"OK", fence, spec, cursor, until ms}   {"BUSY"} somebody else is at it   {"ENDED"}   {"GONE"}
-- Moves none. Emits nothing. Cost O(log N).
--@include prelude
--@include prime
local job = ARGV[2]
local spec = call('HGET', Q .. 'jobs', job)
if not spec then return {'GONE'} end
local lease_end = call('ZSCORE', Q .. 'job_leases', job)
if not lease_end then return {'ENDED'} end
if tonumber(lease_end) > now then return {'BUSY'} end
local fence = call('HINCRBY', Q .. 'job_notes', 'fence:' .. job, 1)
call('ZADD', Q .. 'job_leases', string.format('%.0f', now + tonumber(ARGV[3])), job)
local notes = call('HMGET', Q .. 'job_notes', 'cursor:' .. job, 'until:' .. job)
return {'OK', fence, spec, notes[1] or '', notes[2] or '0'}
