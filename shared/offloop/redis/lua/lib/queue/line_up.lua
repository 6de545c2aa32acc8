--- @include "lib/now"
--- @include "lib/queue/count"
--- @const QUEUE ROTATION ROTATION_COUNTER SUBQUEUE

-- Let a job wait in its principal's line, at its front (`side` LPUSH) or end (RPUSH), and give the principal a turn.
local function line_up(id, queue, level, principal, side)
  local lane = queue .. ':' .. level
  redis.call('ZADD', QUEUE .. queue, 'NX', now(), id)  -- one of stock arq is there already, and keeps its place
  redis.call(side, SUBQUEUE .. lane .. ':' .. principal, id)
  if not redis.call('ZSCORE', ROTATION .. lane, principal) then  -- behind those whose turn it is before
    redis.call('ZADD', ROTATION .. lane, redis.call('INCR', ROTATION_COUNTER), principal)
  end
  count(queue, principal, 1)
end
