-- Heartbeat of a worker: renew its leases, claim what waits, and advertise its free slots.
--
-- A lapsed lease is renewed unless another attempt owns the job. A job that was assigned half a lease ago, and that the
-- worker does not know of, is requeued: its message was lost.
--
-- KEYS, ARGV as lib/worker/worker_args says; then how long it counts as alive (ms), a map of how long jobs took by
--         queue (ms), and (id, token) of each job it holds
-- Answer  {tokens of attempts lost, tokens of attempts to be cancelled, rows as lib/worker/claim answers}

--- @include "lib/now"
--- @include "lib/queue/requeue"
--- @include "lib/worker/claim_and_advertise"
--- @include "lib/worker/owner_of"
--- @include "lib/worker/worker_args"
--- @const HEARTBEATS HELD LEASE LEASES PACE PAYLOAD POOLS RECORD

local worker, alive, time = worker_args(), ARGV[6], now()
local terms = cmsgpack.unpack(worker.terms)
for _, queue in ipairs(terms.queues) do
  for set, member in pairs({[HEARTBEATS .. queue] = worker.owner, [POOLS .. queue] = worker.pool}) do
    redis.call('ZREMRANGEBYSCORE', set, '-inf', time)
    redis.call('ZADD', set, time + alive, member)
    redis.call('PEXPIRE', set, alive)
  end
end
for queue, took in pairs(cmsgpack.unpack(ARGV[7])) do  -- a moving average
  local pace = tonumber(redis.call('GET', PACE .. queue) or took)
  redis.call('SET', PACE .. queue, math.floor(0.8 * pace + 0.2 * took), 'PX', 86400000)
end
local lost, cancelled, known = {}, {}, {}
for i = 8, #ARGV, 2 do
  local id = ARGV[i]
  known[id] = true
  local token, state, queue, stopping, assigned, allowed, principal = unpack(
    redis.call('HMGET', RECORD .. id, 'token', 'state', 'queue', 'cancel', 'assigned', 'allowed', 'principal'))
  if token == ARGV[i + 1] and state == 'running' then
    redis.call('SET', LEASE .. id, token, 'PX', terms.lease)
    redis.call('ZADD', LEASES .. queue, time + terms.lease, id)
    redis.call('PEXPIRE', RECORD .. id, worker.keep)
    if principal ~= '' then redis.call('PEXPIRE', PAYLOAD .. id, worker.keep) end  -- a client of arq sets its own
    if assigned and allowed ~= '1' then redis.call('HDEL', RECORD .. id, 'assigned') end
    if stopping then cancelled[#cancelled + 1] = token end
  else
    lost[#lost + 1] = ARGV[i + 1]
  end
end
for _, id in ipairs(redis.call('SMEMBERS', HELD .. worker.owner)) do
  if not known[id] then
    local token, assigned, started, queue = unpack(
      redis.call('HMGET', RECORD .. id, 'token', 'assigned', 'started', 'queue'))
    if not token or owner_of(token) ~= worker.owner then
      redis.call('SREM', HELD .. worker.owner, id)
    elseif assigned and time - started > terms.lease / 2 then
      requeue(id, queue, false)
    end
  end
end
return {lost, cancelled, claim_and_advertise(worker)}
