--- @include "lib/worker/idle"
--- @const ALL CONTROL_CHANNEL DEPTH FREE_SLOTS

-- Have one more worker look at a queue if something waits in it.
local function nudge(queue)
  if not redis.call('HGET', DEPTH .. queue, ALL) then return end
  local owner, pool = idle(queue)
  if not owner then return end
  redis.call('ZREM', FREE_SLOTS .. pool, owner)  -- so that the next is nudged the next time; it offers itself again
  redis.call('PUBLISH', CONTROL_CHANNEL .. owner, cmsgpack.pack({'look'}))
end
