--- @const QUEUE STOCK

-- Remove a job that has ended from arq's queue.
local function forget(id, queue)
  redis.call('ZREM', QUEUE .. queue, id)
  redis.call('SREM', STOCK .. queue, id)
end
