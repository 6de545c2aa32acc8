--- @const CONTROL_CHANNEL FREE_SLOTS POOLS

-- Which of the workers that serve a queue can take most, and hears of it; and its pool. Nil where none can.
local function idle(queue)
  for _, pool in ipairs(redis.call('ZRANGE', POOLS .. queue, 0, -1)) do
    local owner = redis.call('ZREVRANGE', FREE_SLOTS .. pool, 0, 0)[1]
    while owner do
      if redis.call('PUBSUB', 'NUMSUB', CONTROL_CHANNEL .. owner)[2] > 0 then return owner, pool end
      redis.call('ZREM', FREE_SLOTS .. pool, owner)  -- it has left without a word
      owner = redis.call('ZREVRANGE', FREE_SLOTS .. pool, 0, 0)[1]
    end
  end
end
