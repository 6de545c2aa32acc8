--- @include "lib/worker/take"
--- @const FREE_SLOTS HELD

-- Give a worker what waits, and offer what places it has left.
local function fill(want)
  local places = want.slots - redis.call('SCARD', HELD .. want.owner)
  local taken = take(want, places)
  places = places - #taken
  if places <= 0 then
    redis.call('ZREM', FREE_SLOTS .. want.pool, want.owner)
  elseif redis.call('ZADD', FREE_SLOTS .. want.pool, places, want.owner) == 1 then
    redis.call('PEXPIRE', FREE_SLOTS .. want.pool, want.keep)
  end
  return taken
end
