-- newer: refuses what a person asks of a queue that a newer client wrote, as tq_core.transport.connection puts it in words.
--@include schema
local written_as = tonumber(call('HGET', Q .. 'meta', 'schema') or '')
if written_as and written_as > SCHEMA then
  return redis.error_reply('TQSCHEMA ' .. string.match(Q, '{(.*)}') .. ' ' .. string.format('%.0f', written_as) .. ' ' .. SCHEMA)
end
