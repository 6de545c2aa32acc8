--- @include "lib/delivery/mark_due"
--- @include "lib/now"
--- @include "lib/queue/change_depth"
--- @include "lib/record/push"
--- @include "lib/record/push_current"
--- @include "lib/record/read"
--- @include "lib/record/snapshot_of"
--- @include "lib/share/add_request"
--- @include "lib/stock/forget"
--- @include "lib/worker/owner_of"
--- @const BATCH BATCH_KEPT_MS BATCH_NOTIFY_MS CONTROL_CHANNEL GONE HELD JOINED LEASE LEASES PARENTS PAYLOAD QUEUE
--- @const RECORD RESULT ROTATION SUBQUEUE

-- The end of jobs and of batches. These functions call each other: the last item ends its batch, a batch that stops
-- detaches itself from its items, and the last request that detaches ends the job.
--
-- A *batch* is a job without an execution: its record is there from the submit on, and its items, which are ordinary
-- jobs, move it. The record counts how each item ended, in the same call that ends the item, so each is counted once. A
-- job may be an item of several batches, and stand for several indices of one: what is shared is run once.
--
--   running --the last item has ended--> completed   every item has ended by itself, and one at least succeeded
--                                        failed      none succeeded, or one failed and `stop` was asked for
--                                        cancelled   it was cancelled, and no item of it runs any more
--
-- Beside the record: BATCH id, the ids of all items in their order and the outcomes it may end with; for each job that
-- is an item PARENTS id, the batches that wait for it, and how many indices of each it stands for. The record of an
-- item counts (`held`) the running batches it belongs to: while there are any, it does not expire.

local item_ended, stop_batch

-- Make the state of a job final, keep outcome and record for `keep` ms, and delete the rest. An item of a running batch
-- is kept until that ends; its `expires`, and whether its outcome is shared, go by `keep` all the same.
local function conclude(id, record, state, result, keep)
  local time, queue, key, item = now(), record.queue, record.key, record.batch == 'item'
  local stay = item and redis.call('EXISTS', PARENTS .. id) == 1 and math.max(keep, BATCH_KEPT_MS) or keep
  record.state, record.finished, record.expires = state, time, time + keep
  redis.call('SET', RESULT .. id, result, 'PX', stay)
  redis.call('HSET', RECORD .. id, 'state', state, 'finished', time, 'expires', time + keep)
  redis.call('PEXPIRE', RECORD .. id, stay)
  -- As the payload, they end with the job: a URL may hold a secret. One byte is the empty list.
  if record.references and #record.references > 1 then redis.call('HDEL', RECORD .. id, 'references') end
  if key and redis.call('GET', key) == id then redis.call('PEXPIRE', key, keep) end
  redis.call('DEL', PAYLOAD .. id, LEASE .. id, JOINED .. id, GONE .. id)
  if record.token then
    redis.call('ZREM', LEASES .. queue, id)
    redis.call('SREM', HELD .. owner_of(record.token), id)
  end
  if record.principal == '' then forget(id, queue) end
  if record.notify then mark_due(id, state, time) end
  if record.waiters then push(id, record.waiters, snapshot_of(record, result)) end
  if item then item_ended(id, state) end
end

-- Cancel a job: a queued one ends now, a running one when its worker has ended the attempt.
local function cancel(id, record, result, keep)
  if record.state == 'queued' then
    -- Subqueues and depths must agree; searched from the end, where jobs that are cancelled soon are.
    local lane = record.queue .. ':' .. record.level
    local subqueue = SUBQUEUE .. lane .. ':' .. record.principal
    change_depth(record.queue, record.principal, -redis.call('LREM', subqueue, -1, id))
    if redis.call('LLEN', subqueue) == 0 then redis.call('ZREM', ROTATION .. lane, record.principal) end
    redis.call('ZREM', QUEUE .. record.queue, id)
    conclude(id, record, 'cancelled', result, keep)
  else
    redis.call('HSET', RECORD .. id, 'cancel', 1)
    redis.call('PUBLISH', CONTROL_CHANNEL .. owner_of(record.token), cmsgpack.pack({'stop', record.token}))
  end
end

-- Detach a request from the job that it shares. With the last one a queued job ends, and a running one is cancelled by
-- its worker. Answers how many requests are left.
local function detach(id, request, result, keep)
  local record = read(id)
  if record.state ~= 'queued' and record.state ~= 'running' then return 0 end
  add_request(GONE .. id, request, 86400000)
  local left = 1 + redis.call('SCARD', JOINED .. id) - redis.call('SCARD', GONE .. id)
  if left > 0 then return left end
  if record.batch == 'whole' then
    stop_batch(id, 'cancel')
  else
    cancel(id, record, result, keep)
  end
  return 0
end

-- End a batch. Its items need no longer be kept for it.
local function end_batch(batch, whole, ending)
  local outcome = whole[ending]
  if ending == 'completed' then
    local envelope = cmsgpack.unpack(outcome)
    for _, name in ipairs({'total', 'succeeded', 'failed', 'cancelled'}) do
      envelope.r.output[name] = tonumber(redis.call('HGET', RECORD .. batch, name))
    end
    outcome = cmsgpack.pack(envelope)
  end
  conclude(batch, read(batch), ending == 'stopped' and 'failed' or ending, outcome, whole.retention)
  redis.call('PEXPIRE', BATCH .. batch, whole.retention)
  local seen = {}
  for _, id in ipairs(whole.items) do
    local state = not seen[id] and redis.call('HGET', RECORD .. id, 'state')
    seen[id] = true
    if state and redis.call('HINCRBY', RECORD .. id, 'held', -1) <= 0 and state ~= 'queued' and state ~= 'running' then
      redis.call('PEXPIRE', RECORD .. id, whole.retention)
      redis.call('PEXPIRE', RESULT .. id, whole.retention)
    end
  end
end

-- Count the end of an item that stands for so many indices of a batch.
local function count_item(batch, state, indices)
  local key = RECORD .. batch
  if redis.call('HGET', key, 'state') ~= 'running' then return end
  redis.call('HINCRBY', key, state == 'completed' and 'succeeded' or state, indices)
  local total, succeeded, failed, cancelled, stop, notified, ending = unpack(redis.call('HMGET', key,
    'total', 'succeeded', 'failed', 'cancelled', 'stop', 'notified', 'cancel'))
  local done, time = succeeded + failed + cancelled, now()
  local message = tonumber(failed) > 0 and failed .. ' failed' or ''
  redis.call('HSET', key, 'progress', cmsgpack.pack({done, tonumber(total), message}))
  if done >= tonumber(total) then
    local outcome = 'completed'
    if succeeded ~= total then
      if ending or cancelled == total then outcome = 'cancelled'
      elseif stop and tonumber(failed) > 0 then outcome = 'stopped'  -- also where the last item is the one that failed
      elseif tonumber(succeeded) == 0 then outcome = 'failed' end
    end
    return end_batch(batch, cmsgpack.unpack(redis.call('GET', BATCH .. batch)), outcome)
  end
  redis.call('PEXPIRE', key, BATCH_KEPT_MS)
  redis.call('PEXPIRE', BATCH .. batch, BATCH_KEPT_MS)
  if state == 'failed' and stop then stop_batch(batch, 'stopped') end
  if time - tonumber(notified or 0) >= BATCH_NOTIFY_MS then
    redis.call('HSET', key, 'notified', time)
    push_current(batch)
  end
end

-- Count a job that has ended, once, in the batches that wait for it.
item_ended = function(id, state)
  local parents = redis.call('HGETALL', PARENTS .. id)
  redis.call('DEL', PARENTS .. id)
  for i = 1, #parents, 2 do count_item(parents[i], state, tonumber(parents[i + 1])) end
end

-- Detach a batch from its remaining items, because (`why`) of a 'cancel' or because it is to be 'stopped'. Queued items
-- end now, running ones when their child has exited; items that other requests share continue without it.
stop_batch = function(batch, why)
  local before = redis.call('HMGET', RECORD .. batch, 'cancel', 'stopped')
  redis.call('HSET', RECORD .. batch, why, 1)
  if before[1] or before[2] then return end
  local whole = cmsgpack.unpack(redis.call('GET', BATCH .. batch))
  for i = #whole.items, 1, -1 do  -- from the end of the subqueue, where it is found soonest
    local id = whole.items[i]
    local indices = redis.call('HGET', PARENTS .. id, batch)
    if indices and redis.call('EXISTS', RECORD .. id) == 0 then
      item_ended(id, 'failed')  -- its record has expired in the queue
    elseif indices and detach(id, batch, whole.cancelled, whole.retention) > 0 then
      redis.call('HDEL', PARENTS .. id, batch)
      count_item(batch, 'cancelled', tonumber(indices))
    end
  end
end
