-- publish_types: makes task types known, on the key tq:types, which is the only key it touches.
--
-- KEYS  1 tq:types
-- ARGV  1 now
--       then 2 a type: name, JSON of tq_core.roles.registry.PublishedType
-- Reply {"OK"}
-- Moves none. Emits nothing. Cost O(types).
local call = redis.call
-- A worker must be able to start when memory is full, or nothing would drain: as in includes/prime.lua.
call('HDEL', KEYS[1], '-')
for i = 2, #ARGV, 2 do call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return {'OK'}
