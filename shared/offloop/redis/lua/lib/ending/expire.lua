--- @include "lib/delivery/mark_due"
--- @include "lib/ending/conclude"
--- @include "lib/stock/forget"

-- Fail the deliveries and batch items of a queued job whose record has expired.
local function expire(id, queue, time)
  forget(id, queue)
  mark_due(id, 'failed', time)
  item_ended(id, 'failed')
end
