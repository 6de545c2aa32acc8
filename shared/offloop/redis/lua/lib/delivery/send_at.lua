--- @include "lib/delivery/reschedule"
--- @include "lib/delivery/wake_dispatcher"
--- @const DELIVERY DELIVERY_KEPT_MS DELIVERY_POLL_MS DESTINATION

-- Schedule a delivery for a time, and wake a dispatcher if that is before its next poll.
local function send_at(id, destination, at, time)
  redis.call('HSET', DELIVERY .. id, 'state', 'pending', 'next', at)
  redis.call('HDEL', DELIVERY .. id, 'leased')
  redis.call('PEXPIRE', DELIVERY .. id, DELIVERY_KEPT_MS)
  redis.call('ZADD', DESTINATION .. destination, at, id)
  reschedule(destination)
  if at <= time + DELIVERY_POLL_MS then wake_dispatcher() end
end
