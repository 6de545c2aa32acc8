--- @include "lib/worker/claim"
--- @const FREE_SLOTS HELD

-- Claim what waits for a worker, and advertise the slots that stay free.
local function claim_and_advertise(worker)
  local free = worker.slots - redis.call('SCARD', HELD .. worker.owner)
  local claimed = claim(worker, free)
  free = free - #claimed
  if free <= 0 then
    redis.call('ZREM', FREE_SLOTS .. worker.pool, worker.owner)
  elseif redis.call('ZADD', FREE_SLOTS .. worker.pool, free, worker.owner) == 1 then
    redis.call('PEXPIRE', FREE_SLOTS .. worker.pool, worker.keep)
  end
  return claimed
end
