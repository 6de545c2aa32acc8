--- @const FENCE

-- Which token a worker's next attempt has.
local function new_token(owner)
  return owner .. ':' .. redis.call('INCR', FENCE)
end
