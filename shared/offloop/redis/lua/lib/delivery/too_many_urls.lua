--- @const DELIVERIES_OF_JOB MAX_URLS

-- Whether a job has all the deliveries that it may have, and this URL is in none of them.
local function too_many_urls(job, subscription)
  return subscription and redis.call('HLEN', DELIVERIES_OF_JOB .. job) >= MAX_URLS
    and redis.call('HEXISTS', DELIVERIES_OF_JOB .. job, subscription.address) == 0
end
