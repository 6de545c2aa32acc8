--- @const DELIVERIES_OF_JOB MAX_URLS

-- Whether as many URLs as may be are told of a job already, and this is not one of them.
local function crowded(job, notice)
  return notice and redis.call('HLEN', DELIVERIES_OF_JOB .. job) >= MAX_URLS
    and redis.call('HEXISTS', DELIVERIES_OF_JOB .. job, notice.address) == 0
end
