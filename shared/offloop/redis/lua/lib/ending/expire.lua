--- @include "lib/delivery/mark_due"
--- @include "lib/ending/conclude"
--- @include "lib/stock/forget"

-- A job has waited longer than its record is kept: its deliveries and batches learn that it failed.
local function expire(id, queue, time)
  forget(id, queue)
  mark_due(id, 'failed', time)
  item_ended(id, 'failed')
end
