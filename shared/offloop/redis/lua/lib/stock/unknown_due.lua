--- @const ALL DEPTH QUEUE STOCK

-- How many ids of arq's queue are due and have no record. It holds the jobs of principals that wait, and those of stock
-- arq until they end; a deferred one has a score in the future.
local function unknown_due(queue, time)
  local all, stock = unpack(redis.call('HMGET', DEPTH .. queue, ALL, ''))
  local known = (all or 0) - (stock or 0) + redis.call('SCARD', STOCK .. queue)
  return redis.call('ZCOUNT', QUEUE .. queue, '-inf', time) - known
end
