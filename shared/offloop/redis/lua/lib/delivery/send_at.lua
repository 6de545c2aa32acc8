--- @include "lib/delivery/reschedule"
--- @include "lib/delivery/wake_dispatcher"
--- @const DELIVERY DELIVERY_KEPT_MS DELIVERY_LOOK_MS DESTINATION

-- Let a delivery be claimed from a time on, and wake a dispatcher where that is before it would look by itself.
local function send_at(id, destination, at, time)
  redis.call('HSET', DELIVERY .. id, 'state', 'pending', 'next', at)
  redis.call('HDEL', DELIVERY .. id, 'leased')
  redis.call('PEXPIRE', DELIVERY .. id, DELIVERY_KEPT_MS)
  redis.call('ZADD', DESTINATION .. destination, at, id)
  reschedule(destination)
  if at <= time + DELIVERY_LOOK_MS then wake_dispatcher() end
end
