-- chunks: runs a command on a list of any length, in steps that unpack can take.
local function each_chunk(list, run)
  for first = 1, #list, UNPACK_MAX do
    run(unpack(list, first, math.min(first + UNPACK_MAX - 1, #list)))
  end
end

local function remove_fields(hash, fields)
  each_chunk(fields, function(...) call('HDEL', Q .. hash, ...) end)
end

local function remove_members(zset, members)
  each_chunk(members, function(...) call('ZREM', Q .. zset, ...) end)
end

local function add_members(zset, pairs_)
  each_chunk(pairs_, function(...) call('ZADD', Q .. zset, ...) end)
end

local function set_fields(hash, pairs_)
  each_chunk(pairs_, function(...) call('HSET', Q .. hash, ...) end)
end

local function get_fields(hash, fields)
  local out = {}
  each_chunk(fields, function(...)
    local values = call('HMGET', Q .. hash, ...)
    for i = 1, #values do out[#out + 1] = values[i] end
  end)
  return out
end
