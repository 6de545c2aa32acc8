--- @const QUEUE STOCK

-- A job has ended: arq's queue does not hold it any more.
local function forget(id, queue)
  redis.call('ZREM', QUEUE .. queue, id)
  redis.call('SREM', STOCK .. queue, id)
end
