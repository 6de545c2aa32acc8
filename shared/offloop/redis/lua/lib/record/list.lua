-- List a job among its principal's; now and then those are dropped that are kept no longer.
local function list(id, job, time)
  if time % 16 == 0 then redis.call('ZREMRANGEBYSCORE', job.index, '-inf', '(' .. (time - job.keep)) end
  redis.call('ZADD', job.index, time, id)
  redis.call('PEXPIRE', job.index, job.keep)
end
