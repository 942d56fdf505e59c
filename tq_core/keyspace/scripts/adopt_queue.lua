-- adopt_queue: writes a queue's number and schema version among its own keys.
--
-- ARGV  1 now
--       2 number
--       3 schema      the version this client writes
-- Reply {"OK"}   {"NUMBER", number} it has another one   {"SCHEMA", version} a newer client wrote it
-- Moves none. Emits nothing. Cost O(1).
--@include prelude
local meta = call('HMGET', Q .. 'meta', 'number', 'schema')
if meta[2] and tonumber(meta[2]) > tonumber(ARGV[3]) then return {'SCHEMA', meta[2]} end
if meta[1] and meta[1] ~= ARGV[2] then return {'NUMBER', meta[1]} end
if not meta[1] then call('HSET', Q .. 'meta', 'number', ARGV[2], 'schema', ARGV[3], 'created_at_ms', now_ms) end
return {'OK'}
