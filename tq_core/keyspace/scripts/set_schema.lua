-- set_schema: writes down that a queue's keys are those of the next schema.
--
-- ARGV  1 now
--       2 from
--       3 to
--       4 actor
--       5 op
--       6 detail      JSON: by, from, to
--       7 n           tasks that were changed
-- Reply {"OK"}   {"SCHEMA", version} it is another one already
-- Moves none. Emits nothing. Cost O(1).
--@include prelude
--@include audit
local version = call('HGET', Q .. 'meta', 'schema') or '1'
if version ~= ARGV[2] then return {'SCHEMA', version} end
call('HSET', Q .. 'meta', 'schema', ARGV[3])
audit(ARGV[4], ARGV[5], 'migrate', ARGV[7], ARGV[6])
return {'OK'}
