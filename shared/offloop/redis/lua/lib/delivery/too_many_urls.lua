--- @const DELIVERIES_OF_JOB MAX_URLS

-- Whether a job has reached its maximum of deliveries, and none of them is to this URL.
local function too_many_urls(job, subscription)
  return subscription and redis.call('HLEN', DELIVERIES_OF_JOB .. job) >= MAX_URLS
    and redis.call('HEXISTS', DELIVERIES_OF_JOB .. job, subscription.address) == 0
end
