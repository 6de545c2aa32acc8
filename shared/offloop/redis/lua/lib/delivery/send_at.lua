--- @include "lib/delivery/reschedule"
--- @include "lib/delivery/wake_dispatcher"
--- @const DELIVERY DELIVERY_HORIZON_MS DELIVERY_KEPT_MS DESTINATION SENDERS

-- Let a delivery be claimed from a time on, and wake a dispatcher where that is before it would look by itself.
local function send_at(id, destination, at, time)
  redis.call('HSET', DELIVERY .. id, 'state', 'pending', 'next', at)
  redis.call('HDEL', DELIVERY .. id, 'leased')
  redis.call('PEXPIRE', DELIVERY .. id, DELIVERY_KEPT_MS)
  redis.call('ZADD', DESTINATION .. destination, at, id)
  reschedule(destination)
  if at > time + DELIVERY_HORIZON_MS then return end
  wake_dispatcher()
  if redis.call('LLEN', SENDERS) < 100 then
    redis.call('RPUSH', SENDERS, 1)
    redis.call('PEXPIRE', SENDERS, 60000)
  end
end
