-- chunks: runs a command on a list of any length, in steps that unpack can take.
-- Most lists fit into one step, which is done without making a function: on a batch of fifty that is a tenth of the time.
local function each_chunk(list, run)
  for first = 1, #list, UNPACK_MAX do
    run(unpack(list, first, math.min(first + UNPACK_MAX - 1, #list)))
  end
end

local function remove_fields(hash, fields)
  if #fields == 0 then return end
  if #fields <= UNPACK_MAX then call('HDEL', Q .. hash, unpack(fields)) return end
  each_chunk(fields, function(...) call('HDEL', Q .. hash, ...) end)
end

local function remove_members(zset, members)
  if #members == 0 then return end
  if #members <= UNPACK_MAX then call('ZREM', Q .. zset, unpack(members)) return end
  each_chunk(members, function(...) call('ZREM', Q .. zset, ...) end)
end

local function add_members(zset, pairs_)
  if #pairs_ == 0 then return end
  if #pairs_ <= UNPACK_MAX then call('ZADD', Q .. zset, unpack(pairs_)) return end
  each_chunk(pairs_, function(...) call('ZADD', Q .. zset, ...) end)
end

local function set_fields(hash, pairs_)
  if #pairs_ == 0 then return end
  if #pairs_ <= UNPACK_MAX then call('HSET', Q .. hash, unpack(pairs_)) return end
  each_chunk(pairs_, function(...) call('HSET', Q .. hash, ...) end)
end

local function get_fields(hash, fields)
  if #fields == 0 then return {} end
  if #fields <= UNPACK_MAX then return call('HMGET', Q .. hash, unpack(fields)) end
  local out = {}
  each_chunk(fields, function(...)
    local values = call('HMGET', Q .. hash, ...)
    for i = 1, #values do out[#out + 1] = values[i] end
  end)
  return out
end
