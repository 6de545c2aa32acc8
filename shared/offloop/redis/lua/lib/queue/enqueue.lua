--- @include "lib/now"
--- @include "lib/queue/change_depth"
--- @const QUEUE ROTATION ROTATION_COUNTER SUBQUEUE

-- Put a job at the front (`side` LPUSH) or end (RPUSH) of its principal's subqueue, and the principal into the
-- rotation.
local function enqueue(id, queue, level, principal, side)
  local lane = queue .. ':' .. level
  redis.call('ZADD', QUEUE .. queue, 'NX', now(), id)  -- one of stock arq is there already, and keeps its score
  redis.call(side, SUBQUEUE .. lane .. ':' .. principal, id)
  if not redis.call('ZSCORE', ROTATION .. lane, principal) then  -- behind those that wait already
    redis.call('ZADD', ROTATION .. lane, redis.call('INCR', ROTATION_COUNTER), principal)
  end
  change_depth(queue, principal, 1)
end
