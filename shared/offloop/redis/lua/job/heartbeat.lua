-- Show that a worker lives, renew its leases, give it what waits, and advertise its free slots.
--
-- A lease that lapsed is taken again unless the job was given away since. A job that was assigned half a lease ago, and
-- that the worker does not know of, is put back: its message was lost.
--
-- KEYS, ARGV as lib/worker/wanted says; then how long it counts as alive (ms), a map of how long jobs took by queue
--         (ms), and (id, token) of each job it holds
-- Answer  {tokens of attempts lost, tokens of attempts to be cancelled, rows as lib/worker/take answers}

--- @include "lib/now"
--- @include "lib/queue/requeue"
--- @include "lib/worker/fill"
--- @include "lib/worker/owner_of"
--- @include "lib/worker/wanted"
--- @const HEARTBEATS HELD LEASE LEASES PACE PAYLOAD POOLS RECORD

local want, alive, time = wanted(), ARGV[6], now()
local terms = cmsgpack.unpack(want.terms)
for _, queue in ipairs(terms.queues) do
  for set, member in pairs({[HEARTBEATS .. queue] = want.owner, [POOLS .. queue] = want.pool}) do
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
  local token, state, queue, marked, handed, allowed = unpack(
    redis.call('HMGET', RECORD .. id, 'token', 'state', 'queue', 'cancel', 'handed', 'allowed'))
  if token == ARGV[i + 1] and state == 'running' then
    redis.call('SET', LEASE .. id, token, 'PX', terms.lease)
    redis.call('ZADD', LEASES .. queue, time + terms.lease, id)
    redis.call('PEXPIRE', RECORD .. id, want.keep)
    redis.call('PEXPIRE', PAYLOAD .. id, want.keep)
    if handed and allowed ~= '1' then redis.call('HDEL', RECORD .. id, 'handed') end
    if marked then cancelled[#cancelled + 1] = token end
  else
    lost[#lost + 1] = ARGV[i + 1]
  end
end
for _, id in ipairs(redis.call('SMEMBERS', HELD .. want.owner)) do
  if not known[id] then
    local token, handed, started, queue = unpack(
      redis.call('HMGET', RECORD .. id, 'token', 'handed', 'started', 'queue'))
    if not token or owner_of(token) ~= want.owner then
      redis.call('SREM', HELD .. want.owner, id)
    elseif handed and time - started > terms.lease / 2 then
      requeue(id, queue, false)
    end
  end
end
return {lost, cancelled, fill(want)}
