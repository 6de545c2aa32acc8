-- Find what no message announced: jobs of lost workers, jobs enqueued by stock arq, subqueues without a worker.
--
-- Where no sweep ran for half a lease, the server was away or frozen, and no worker could renew: every lease gets half
-- a
-- term first, so that living workers can show themselves.
--
-- KEYS    lock, time of the last sweep, where the search for stock jobs goes on
-- ARGV    queue, lock (ms), lease (ms), keep (ms)
-- Answer  jobs found, or -1 where another process sweeps

--- @include "lib/ending/expire"
--- @include "lib/now"
--- @include "lib/queue/enqueue"
--- @include "lib/queue/requeue"
--- @include "lib/worker/wake_worker"
--- @const ALL DEPTH LEASES PAYLOAD QUEUE RECORD

if not redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[2]) then return -1 end
local queue, time, found = ARGV[1], now(), 0
local last = tonumber(redis.call('GET', KEYS[2]) or 0)
redis.call('SET', KEYS[2], time, 'PX', ARGV[4])
if last > 0 and time - last > ARGV[3] / 2 then
  local term = time + ARGV[3] / 2
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES .. queue, '-inf', term)) do
    redis.call('ZADD', LEASES .. queue, term, id)
  end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES .. queue, '-inf', time, 'LIMIT', 0, 500)) do
  local state = redis.call('HGET', RECORD .. id, 'state')
  if state ~= 'running' then
    redis.call('ZREM', LEASES .. queue, id)
    if not state then expire(id, queue, time) end
  else
    requeue(id, queue, true)
    wake_worker(queue)
    found = found + 1
  end
end
if redis.call('ZCARD', QUEUE .. queue) > tonumber(redis.call('HGET', DEPTH .. queue, ALL) or 0) then
  local offset = tonumber(redis.call('GET', KEYS[3]) or 0)
  local page = redis.call('ZRANGEBYSCORE', QUEUE .. queue, '-inf', time, 'LIMIT', offset, 500)
  for _, id in ipairs(page) do
    if redis.call('EXISTS', RECORD .. id) == 0 then
      if redis.call('EXISTS', PAYLOAD .. id) == 1 then
        redis.call('HSET', RECORD .. id, 'principal', '', 'kind', '', 'queue', queue, 'level', 'batch',
          'state', 'queued', 'attempt', 0, 'tries', 0, 'created', time, 'expires', time + ARGV[4], 'allowed', 1)
        redis.call('PEXPIRE', RECORD .. id, ARGV[4])
        enqueue(id, queue, 'batch', '', 'RPUSH')
        found = found + 1
      else
        expire(id, queue, time)  -- its payload has expired, nobody can run it
      end
    end
  end
  redis.call('SET', KEYS[3], #page < 500 and 0 or offset + 500, 'PX', ARGV[4])
end
wake_worker(queue)
return found
