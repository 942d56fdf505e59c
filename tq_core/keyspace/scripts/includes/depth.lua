-- depth: how many tasks wait, which is what max_size limits.
local depth = call('ZCARD', Q .. 'pending') + call('ZCARD', Q .. 'scheduled')
  + call('ZCARD', Q .. 'retrying') + call('ZCARD', Q .. 'blocked')
