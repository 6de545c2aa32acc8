--- @const DESTINATION ENDPOINT_GONE MAX_WAITING_DELIVERIES

-- Why a job cannot be accepted with this notice, or nil.
local function unwelcome(notice)
  if redis.call('EXISTS', ENDPOINT_GONE .. notice.principal .. ':' .. notice.address) == 1 then
    return {'endpoint-gone'}
  end
  local waiting = redis.call('ZCARD', DESTINATION .. notice.route)
  if waiting >= MAX_WAITING_DELIVERIES then return {'backlog', waiting} end
end
