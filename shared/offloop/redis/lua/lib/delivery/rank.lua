--- @const DELIVERY_KEPT_MS DESTINATION DESTINATIONS

-- Have a route looked at when the first of its deliveries may be taken.
local function rank(route)
  local first = redis.call('ZRANGE', DESTINATION .. route, 0, 0, 'WITHSCORES')
  if not first[2] then
    redis.call('ZREM', DESTINATIONS, route)
    return
  end
  redis.call('ZADD', DESTINATIONS, first[2], route)
  for _, key in ipairs({DESTINATIONS, DESTINATION .. route}) do redis.call('PEXPIRE', key, DELIVERY_KEPT_MS) end
end
