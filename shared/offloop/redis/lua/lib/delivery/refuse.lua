--- @const DESTINATION ENDPOINT_GONE MAX_WAITING_DELIVERIES

-- The reason why a job cannot be accepted with this subscription, or nil.
local function refuse(subscription)
  if redis.call('EXISTS', ENDPOINT_GONE .. subscription.principal .. ':' .. subscription.address) == 1 then
    return {'endpoint-gone'}
  end
  local waiting = redis.call('ZCARD', DESTINATION .. subscription.destination)
  if waiting >= MAX_WAITING_DELIVERIES then return {'backlog', waiting} end
end
