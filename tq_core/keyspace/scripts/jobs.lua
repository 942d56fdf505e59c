-- jobs: what is and was done to the tasks that a filter fits, and how far it is.
--
-- ARGV  1 now
--       2 job         only this one; "" for all that are remembered
-- Reply {"OK", {id, spec, status or "", begun ms, changed ms, done, looked, skipped, lease end ms or ""}...}
-- Moves none. Emits nothing. Cost O(jobs).
--@include prelude
local ids = ARGV[2] ~= '' and {ARGV[2]} or call('HKEYS', Q .. 'jobs')
local out = {'OK'}
for i = 1, #ids do
  local id, spec = ids[i], call('HGET', Q .. 'jobs', ids[i])
  if spec then
    local n = call('HMGET', Q .. 'job_notes', 'status:' .. id, 'until:' .. id, 'changed:' .. id, 'done:' .. id,
      'looked:' .. id, 'skipped:' .. id)
    out[#out + 1] = {id, spec, n[1] or '', n[2] or '0', n[3] or '0', n[4] or '0', n[5] or '0', n[6] or '0',
      call('ZSCORE', Q .. 'job_leases', id) or ''}
  end
end
return out
