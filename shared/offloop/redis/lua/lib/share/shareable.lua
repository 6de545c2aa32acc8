--- @include "lib/now"
--- @const RECORD

-- The job that a key names, where another request may share it: not one that has failed or was cancelled, nor a
-- completed one that is about to expire.
local function shareable(key, request, fresh)
  local other = key ~= '' and redis.call('GET', key)
  if not other or other == request then return end
  local state, ending, expires, batch = unpack(
    redis.call('HMGET', RECORD .. other, 'state', 'cancel', 'expires', 'batch'))
  if not state or state == 'failed' or state == 'cancelled' or ending then return end
  if state == 'completed' and tonumber(expires) - now() < fresh then return end
  return other, state, batch
end
