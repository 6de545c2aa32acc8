--- @include "lib/delivery/send_at"
--- @const DELIVERIES_OF_JOB DELIVERY

-- A job has ended: what waited for that is due.
local function announce(job, state, time)
  for _, id in ipairs(redis.call('HVALS', DELIVERIES_OF_JOB .. job)) do
    local stage, route = unpack(redis.call('HMGET', DELIVERY .. id, 'state', 'route'))
    if stage == 'waiting' then
      redis.call('HSET', DELIVERY .. id, 'ended', state, 'finished', time)
      send_at(id, route, time, time)
    end
  end
end
