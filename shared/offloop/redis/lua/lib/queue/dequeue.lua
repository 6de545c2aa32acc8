--- @include "lib/queue/change_depth"
--- @const QUEUE ROTATION ROTATION_COUNTER SUBQUEUE

-- Take the next job of a lane off its principal's subqueue; the principal goes to the end of the rotation.
-- Answers the principal, nil where none waits, and the id, nil where the subqueue was empty.
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
