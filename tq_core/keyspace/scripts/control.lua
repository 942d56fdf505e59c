-- control: puts a command into a node's inbox.
--
-- KEYS  1 the fleet's prefix
-- ARGV  1 now
--       2 node
--       3 actor
--       4 command     JSON: id, do, and what it needs
--       5 valid_ms    after that time the node ignores it: a late kill would hit what nobody meant
--       6 lost_ms     a node silent for longer is not there
--       7 action      its name, for the audit
--       8 op          its id, for the audit
--       9 detail      JSON, for the audit: which node, and what the command said
-- Reply {"OK", valid until ms}   {"GONE"} no such node lives
-- Moves none. Emits nothing. Cost O(log N).
--@include prelude
--@include prime
--@include audit
local seen = call('ZSCORE', Q .. 'seen:node', ARGV[2])
if not seen or now - tonumber(seen) > tonumber(ARGV[6]) then return {'GONE'} end
local valid_until = string.format('%.0f', now + tonumber(ARGV[5]))
call('RPUSH', Q .. 'inbox:' .. ARGV[2], valid_until .. '|' .. ARGV[4])
call('LTRIM', Q .. 'inbox:' .. ARGV[2], -1000, -1)
call('PEXPIRE', Q .. 'inbox:' .. ARGV[2], tonumber(ARGV[5]) * 2)
audit(ARGV[3], ARGV[8], ARGV[7], 1, ARGV[9])
return {'OK', valid_until}
