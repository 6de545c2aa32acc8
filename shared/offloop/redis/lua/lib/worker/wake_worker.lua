--- @include "lib/worker/freest_worker"
--- @const ALL CONTROL_CHANNEL DEPTH FREE_SLOTS

-- Wake a worker with free slots if a job waits in a queue.
local function wake_worker(queue)
  if not redis.call('HGET', DEPTH .. queue, ALL) then return end
  local owner, pool = freest_worker(queue)
  if not owner then return end
  redis.call('ZREM', FREE_SLOTS .. pool, owner)  -- the next call wakes another; a heartbeat advertises it again
  redis.call('PUBLISH', CONTROL_CHANNEL .. owner, cmsgpack.pack({'wake'}))
end
