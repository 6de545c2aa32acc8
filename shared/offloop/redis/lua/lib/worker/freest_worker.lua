--- @const CONTROL_CHANNEL FREE_SLOTS POOLS

-- The worker of a queue with the most free slots whose channel has a subscriber, and its pool; nil where there is none.
local function freest_worker(queue)
  for _, pool in ipairs(redis.call('ZRANGE', POOLS .. queue, 0, -1)) do
    local owner = redis.call('ZREVRANGE', FREE_SLOTS .. pool, 0, 0)[1]
    while owner do
      if redis.call('PUBSUB', 'NUMSUB', CONTROL_CHANNEL .. owner)[2] > 0 then return owner, pool end
      redis.call('ZREM', FREE_SLOTS .. pool, owner)  -- it died
      owner = redis.call('ZREVRANGE', FREE_SLOTS .. pool, 0, 0)[1]
    end
  end
end
