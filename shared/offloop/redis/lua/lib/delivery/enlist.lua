--- @include "lib/delivery/announce"
--- @const DELIVERIES_OF_JOB DELIVERY RECORD

-- Have a URL told of a job's end: once, however many requests name it while the job goes on. What has ended already is
-- told at once, but not again to a request that only repeats an earlier one under its key.
local function enlist(job, notice, state, time)
  local key, ended = DELIVERIES_OF_JOB .. job, state ~= 'queued' and state ~= 'running'
  local known = redis.call('HGET', key, notice.address)
  if known == notice.id or (known and (notice.keyed or not ended)) then return end
  redis.call('HSET', key, notice.address, notice.id)
  redis.call('PEXPIRE', key, notice.keep)
  redis.call('HSET', RECORD .. job, 'notify', 1)
  redis.call('HSET', DELIVERY .. notice.id, 'principal', notice.principal, 'job', job, 'kind', notice.kind,
    'url', notice.url, 'address', notice.address, 'route', notice.route, 'state', 'waiting', 'attempts', 0, 'step', 0,
    'created', time)
  redis.call('PEXPIRE', DELIVERY .. notice.id, notice.keep)
  redis.call('ZREMRANGEBYSCORE', notice.index, '-inf', '(' .. (time - notice.keep))
  redis.call('ZADD', notice.index, time, notice.id)
  redis.call('PEXPIRE', notice.index, notice.keep)
  if ended then announce(job, state, time) end
end
