--- @const ALL DEPTH QUEUE STOCK

-- Number of due ids of arq's queue without a record. The queue holds the waiting jobs of principals, and those of stock
-- arq until they end; a deferred job has a score in the future.
local function unknown_due(queue, time)
  local all, stock = unpack(redis.call('HMGET', DEPTH .. queue, ALL, ''))
  local known = (all or 0) - (stock or 0) + redis.call('SCARD', STOCK .. queue)
  return redis.call('ZCOUNT', QUEUE .. queue, '-inf', time) - known
end
