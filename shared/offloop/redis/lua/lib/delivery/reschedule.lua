--- @const DELIVERY_KEPT_MS DESTINATION DESTINATIONS

-- Schedule a destination for the time at which the first of its deliveries may be claimed.
local function reschedule(destination)
  local first = redis.call('ZRANGE', DESTINATION .. destination, 0, 0, 'WITHSCORES')
  if not first[2] then
    redis.call('ZREM', DESTINATIONS, destination)
    return
  end
  redis.call('ZADD', DESTINATIONS, first[2], destination)
  for _, key in ipairs({DESTINATIONS, DESTINATION .. destination}) do redis.call('PEXPIRE', key, DELIVERY_KEPT_MS) end
end
