--- @include "lib/delivery/mark_due"
--- @include "lib/ending/conclude"
--- @const QUEUE

-- A job has waited longer than its record is kept: its deliveries and batches learn that it failed.
local function expire(id, queue, time)
  redis.call('ZREM', QUEUE .. queue, id)
  mark_due(id, 'failed', time)
  item_ended(id, 'failed')
end
