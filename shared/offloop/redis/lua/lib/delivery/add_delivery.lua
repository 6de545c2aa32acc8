--- @include "lib/delivery/mark_due"
--- @const DELIVERIES_OF_JOB DELIVERY RECORD

-- Add a delivery of a job's end to a URL: one per URL, however many requests name it while the job runs. For a job that
-- has ended it is due now, but not a second time for a request that repeats an earlier one under its key.
local function add_delivery(job, subscription, state, time)
  local key, ended = DELIVERIES_OF_JOB .. job, state ~= 'queued' and state ~= 'running'
  local known = redis.call('HGET', key, subscription.address)
  if known == subscription.id or (known and (subscription.keyed or not ended)) then return end
  redis.call('HSET', key, subscription.address, subscription.id)
  redis.call('PEXPIRE', key, subscription.keep)
  redis.call('HSET', RECORD .. job, 'notify', 1)
  redis.call('HSET', DELIVERY .. subscription.id, 'principal', subscription.principal, 'job', job,
    'kind', subscription.kind, 'url', subscription.url, 'address', subscription.address,
    'destination', subscription.destination, 'state', 'waiting', 'attempts', 0, 'step', 0, 'created', time)
  redis.call('PEXPIRE', DELIVERY .. subscription.id, subscription.keep)
  redis.call('ZREMRANGEBYSCORE', subscription.index, '-inf', '(' .. (time - subscription.keep))
  redis.call('ZADD', subscription.index, time, subscription.id)
  redis.call('PEXPIRE', subscription.index, subscription.keep)
  if ended then mark_due(job, state, time) end
end
