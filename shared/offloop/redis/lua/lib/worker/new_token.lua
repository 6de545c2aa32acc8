--- @const FENCE

-- The token of a worker's next attempt.
local function new_token(owner)
  return owner .. ':' .. redis.call('INCR', FENCE)
end
