--- @include "lib/delivery/announce"
--- @include "lib/ending/conclude"
--- @const QUEUE

-- A job has waited longer than its record is kept: whoever was to be told of its end is told of that.
local function lose(id, queue, time)
  redis.call('ZREM', QUEUE .. queue, id)
  announce(id, 'failed', time)
  settle(id, 'failed')
end
