--- @include "lib/queue/change_depth"
--- @const QUEUE ROTATION ROTATION_COUNTER SUBQUEUE

-- Remove the next job of a lane from its principal's subqueue, and move the principal to the end of the rotation.
-- Answers the principal (nil if none waits) and the id (nil if the subqueue was empty).
local function dequeue(queue, lane)
  local principal = redis.call('ZRANGE', ROTATION .. lane, 0, 0)[1]
  if not principal then return end
  local subqueue = SUBQUEUE .. lane .. ':' .. principal
  local id = redis.call('LPOP', subqueue)
  if id then
    change_depth(queue, principal, -1)
    -- arq's clients wait for a result only while they find the id here, so one of theirs stays until it has ended.
    if principal ~= '' then redis.call('ZREM', QUEUE .. queue, id) end
  end
  if redis.call('LLEN', subqueue) == 0 then
    redis.call('ZREM', ROTATION .. lane, principal)
  else
    redis.call('ZADD', ROTATION .. lane, redis.call('INCR', ROTATION_COUNTER), principal)
  end
  return principal, id
end
