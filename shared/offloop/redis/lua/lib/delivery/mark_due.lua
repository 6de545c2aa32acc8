--- @include "lib/delivery/send_at"
--- @const DELIVERIES_OF_JOB DELIVERY

-- Mark the deliveries as due that wait for the end of a job.
local function mark_due(job, state, time)
  for _, id in ipairs(redis.call('HVALS', DELIVERIES_OF_JOB .. job)) do
    local stage, destination = unpack(redis.call('HMGET', DELIVERY .. id, 'state', 'destination'))
    if stage == 'waiting' then
      redis.call('HSET', DELIVERY .. id, 'ended', state, 'finished', time)
      send_at(id, destination, time, time)
    end
  end
end
