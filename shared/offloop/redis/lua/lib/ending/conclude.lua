--- @include "lib/delivery/announce"
--- @include "lib/now"
--- @include "lib/queue/count"
--- @include "lib/record/push"
--- @include "lib/record/read"
--- @include "lib/record/shown"
--- @include "lib/record/tell"
--- @include "lib/share/note"
--- @include "lib/worker/owner_of"
--- @const BATCH BATCH_KEPT_MS BATCH_NOTIFY_MS CONTROL_CHANNEL GONE HELD JOINED LEASE LEASES PARENTS PAYLOAD QUEUE
--- @const RECORD RESULT ROTATION SUBQUEUE

local settle, halt    -- what becomes of batches as items end or they are given up: see `offloop.redis.batch_scripts`

-- Make the state of a job final, keep outcome and record for `keep` ms, and forget the rest. An item of a batch that
-- goes on is kept until that ends; what it says of itself, and whether its outcome is shared, goes by `keep` all the
-- same.
local function conclude(id, record, state, result, keep)
  local time, queue, key, item = now(), record.queue, record.key, record.batch == 'item'
  local stay = item and redis.call('EXISTS', PARENTS .. id) == 1 and math.max(keep, BATCH_KEPT_MS) or keep
  record.state, record.finished, record.expires = state, time, time + keep
  redis.call('SET', RESULT .. id, result, 'PX', stay)
  redis.call('HSET', RECORD .. id, 'state', state, 'finished', time, 'expires', time + keep)
  redis.call('PEXPIRE', RECORD .. id, stay)
  if key and redis.call('GET', key) == id then redis.call('PEXPIRE', key, keep) end
  redis.call('DEL', PAYLOAD .. id, LEASE .. id, JOINED .. id, GONE .. id)
  if record.token then
    redis.call('ZREM', LEASES .. queue, id)
    redis.call('SREM', HELD .. owner_of(record.token), id)
  end
  if record.notify then announce(id, state, time) end
  if record.waiters then push(id, record.waiters, shown(record, result)) end
  if item then settle(id, state) end
end

-- One of those who share a job gives it up. With the last one a queued job ends at once, and the worker of a running
-- one is told to kill its child. Answers how many are left.
local function give_up(id, who, result, keep)
  local record = read(id)
  local state, queue = record.state, record.queue
  if state ~= 'queued' and state ~= 'running' then return 0 end
  note(GONE .. id, who, 86400000)
  local left = 1 + redis.call('SCARD', JOINED .. id) - redis.call('SCARD', GONE .. id)
  if left > 0 then return left end
  if record.batch == 'whole' then
    halt(id, 'cancel')
  elseif state == 'queued' then
    -- Out of the line at once, so that lines and counts agree; from the end, where those who give up soon are.
    local lane = queue .. ':' .. record.level
    local line = SUBQUEUE .. lane .. ':' .. record.principal
    count(queue, record.principal, -redis.call('LREM', line, -1, id))
    if redis.call('LLEN', line) == 0 then redis.call('ZREM', ROTATION .. lane, record.principal) end
    redis.call('ZREM', QUEUE .. queue, id)
    conclude(id, record, 'cancelled', result, keep)
  else
    redis.call('HSET', RECORD .. id, 'cancel', 1)
    redis.call('PUBLISH', CONTROL_CHANNEL .. owner_of(record.token), cmsgpack.pack({'stop', record.token}))
  end
  return 0
end

-- A batch ends. Its items need no longer be kept for it.
local function close(batch, whole, ending)
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

-- Count the end of an item that stands for so many places of a batch.
local function tally(batch, state, places)
  local key = RECORD .. batch
  if redis.call('HGET', key, 'state') ~= 'running' then return end
  redis.call('HINCRBY', key, state == 'completed' and 'succeeded' or state, places)
  local total, succeeded, failed, cancelled, stop, told, ending, stopped = unpack(redis.call('HMGET', key,
    'total', 'succeeded', 'failed', 'cancelled', 'stop', 'told', 'cancel', 'stopped'))
  local done, time = succeeded + failed + cancelled, now()
  local message = tonumber(failed) > 0 and failed .. ' failed' or ''
  redis.call('HSET', key, 'progress', cmsgpack.pack({done, tonumber(total), message}))
  if done >= tonumber(total) then
    local verdict = 'completed'
    if succeeded == total then verdict = 'completed'
    elseif ending or cancelled == total then verdict = 'cancelled'
    elseif stopped then verdict = 'stopped'
    elseif tonumber(succeeded) == 0 then verdict = 'failed' end
    return close(batch, cmsgpack.unpack(redis.call('GET', BATCH .. batch)), verdict)
  end
  redis.call('PEXPIRE', key, BATCH_KEPT_MS)
  redis.call('PEXPIRE', BATCH .. batch, BATCH_KEPT_MS)
  if state == 'failed' and stop then halt(batch, 'stopped') end
  if time - tonumber(told or 0) >= BATCH_NOTIFY_MS then
    redis.call('HSET', key, 'told', time)
    tell(batch)
  end
end

-- A job has ended: the batches that wait for it are told, once.
settle = function(id, state)
  local parents = redis.call('HGETALL', PARENTS .. id)
  redis.call('DEL', PARENTS .. id)
  for i = 1, #parents, 2 do tally(parents[i], state, tonumber(parents[i + 1])) end
end

-- Give up what is left of a batch, because (`why`) of a 'cancel' or because it is to be 'stopped'. Queued items end at
-- once, running ones when their child is gone; those that others share go on without it.
halt = function(batch, why)
  local before = redis.call('HMGET', RECORD .. batch, 'cancel', 'stopped')
  redis.call('HSET', RECORD .. batch, why, 1)
  if before[1] or before[2] then return end
  local whole = cmsgpack.unpack(redis.call('GET', BATCH .. batch))
  for i = #whole.items, 1, -1 do  -- from the end of the line, where it is found soonest
    local id = whole.items[i]
    local places = redis.call('HGET', PARENTS .. id, batch)
    if places and redis.call('EXISTS', RECORD .. id) == 0 then
      settle(id, 'failed')  -- it has waited longer than it is kept
    elseif places and give_up(id, batch, whole.cancelled, whole.retention) > 0 then
      redis.call('HDEL', PARENTS .. id, batch)
      tally(batch, 'cancelled', tonumber(places))
    end
  end
end
