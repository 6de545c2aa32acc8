-- Add a job to its principal's index; now and then expired entries are dropped.
local function add_to_index(id, job, time)
  if time % 16 == 0 then redis.call('ZREMRANGEBYSCORE', job.index, '-inf', '(' .. (time - job.keep)) end
  redis.call('ZADD', job.index, time, id)
  redis.call('PEXPIRE', job.index, job.keep)
end
