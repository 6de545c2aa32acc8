-- Handle events without a message: jobs of lost workers, jobs that stock arq enqueued or aborts, subqueues without a
-- worker.
--
-- If no sweep ran for half a lease, the server was away or frozen, and no worker could renew: every lease first gets
-- half a term more, so that living workers can renew theirs.
--
-- KEYS    lock, time of the last sweep, where the search for stock jobs goes on
-- ARGV    queue, lock (ms), lease (ms), keep (ms), retention (ms), packed outcomes of an aborted and of an expired job
-- Answer  jobs found, or -1 where another process sweeps

--- @include "lib/ending/conclude"
--- @include "lib/ending/expire"
--- @include "lib/now"
--- @include "lib/queue/enqueue"
--- @include "lib/queue/requeue"
--- @include "lib/record/read"
--- @include "lib/stock/adopt"
--- @include "lib/stock/is_text"
--- @include "lib/stock/unknown_due"
--- @include "lib/worker/wake_worker"
--- @const ABORTED DAY_MS LEASES PAYLOAD QUEUE RECORD RESULT

if not redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[2]) then return -1 end
local queue, lease, keep, retention = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local aborted, expired = ARGV[6], ARGV[7]
local time, found = now(), 0

local function extend_leases()
  local last = tonumber(redis.call('GET', KEYS[2]) or 0)
  redis.call('SET', KEYS[2], time, 'PX', keep)
  if last == 0 or time - last <= lease / 2 then return end
  local term = time + lease / 2
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES .. queue, '-inf', term)) do
    redis.call('ZADD', LEASES .. queue, term, id)
  end
end

local function requeue_lapsed()
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
end

-- Abort a job, as a client of stock arq has asked. Answers whether that is done; another queue's is left to its sweep.
local function abort(id)
  local state, principal, home = unpack(redis.call('HMGET', RECORD .. id, 'state', 'principal', 'queue'))
  if state == 'queued' or state == 'running' then
    if home ~= queue then return false end
    if principal == '' then cancel(id, read(id), aborted, retention) end  -- a principal's may be shared by requests
  elseif redis.call('ZSCORE', QUEUE .. queue, id) then
    adopt(id, queue, time, keep)
    conclude(id, read(id), 'cancelled', aborted, retention)
  else
    return redis.call('EXISTS', PAYLOAD .. id) == 0
  end
  return true
end

-- Enqueue an id of arq's queue that has no record, or that of an earlier job. One that is not text, which no worker
-- could name, is ended.
local function enqueue_stock(id)
  local state, principal = unpack(redis.call('HMGET', RECORD .. id, 'state', 'principal'))
  if is_text(id) and redis.call('EXISTS', PAYLOAD .. id) == 1 and (not state or principal == '') then
    adopt(id, queue, time, keep)
    enqueue(id, queue, 'batch', '', 'RPUSH')
    found = found + 1
  else
    redis.call('SET', RESULT .. id, expired, 'NX', 'PX', retention)
    expire(id, queue, time)
  end
end

-- Scan the due ids of arq's queue, latest first: most new ids were added, or became due, just now. The scan for older
-- ones goes on, page by page, with each sweep.
local function adopt_due()
  local unknown = unknown_due(queue, time)
  if unknown <= 0 then return end
  local offset, ids = tonumber(redis.call('GET', KEYS[3]) or 0), {}
  for _, start in ipairs({0, offset + 500}) do
    local page = redis.call('ZREVRANGEBYSCORE', QUEUE .. queue, time, '-inf', 'LIMIT', start, 500)
    for _, id in ipairs(page) do
      if #ids == unknown then break end
      local state = redis.call('HGET', RECORD .. id, 'state')
      if state ~= 'queued' and state ~= 'running' then ids[#ids + 1] = id end
    end
    offset = #page < 500 and 0 or start
  end
  for i = #ids, 1, -1 do enqueue_stock(ids[i]) end  -- in the order in which they were due
  redis.call('SET', KEYS[3], #ids < unknown and offset or 0, 'PX', keep)
end

extend_leases()
requeue_lapsed()
redis.call('ZREMRANGEBYSCORE', ABORTED, '-inf', time - DAY_MS)
-- Any of them: those of a queue without a worker stay for a day.
for _, id in ipairs(redis.call('ZRANDMEMBER', ABORTED, 500)) do
  if abort(id) then redis.call('ZREM', ABORTED, id) end
end
adopt_due()
wake_worker(queue)
return found
