-- Claim deliveries that are due, a few of each destination and principal; each claim counts an attempt and leases it.
--
-- ARGV    lease (ms), most in all, most a destination, most a principal, deliveries in flight of this sender (packed
--         {destination or principal: count}), ms for which secrets are kept unused, and the worker to be woken when
--         more are due (may be missing)
-- Answer  {rows, ms until the next is due, destinations passed over because of what is in flight}; a row is a packed
--         map: delivery_id, attempt, step, destination, job_id, kind, url, ended (state of the job), finished (ms),
--         signers (secrets, newest first), and event (packed, as it was sent before) or else snapshot (of the job)

--- @include "lib/delivery/reschedule"
--- @include "lib/now"
--- @include "lib/record/snapshot"
--- @const DELIVERY DESTINATION DESTINATIONS DISPATCHERS ENDPOINT_GONE SECRETS

local time, claimed, passed = now(), {}, 0
local most, in_flight = tonumber(ARGV[2]), cmsgpack.unpack(ARGV[5])

local function secrets(principal)
  local found = redis.call('ZREVRANGEBYSCORE', SECRETS .. principal, '+inf', '(' .. time)
  if #found > 0 then redis.call('PEXPIRE', SECRETS .. principal, ARGV[6]) end
  return found
end

local function claim(id, destination, principal)
  local key = DELIVERY .. id
  local job, kind, url, address, ended, finished, event = unpack(
    redis.call('HMGET', key, 'job', 'kind', 'url', 'address', 'ended', 'finished', 'event'))
  if not job or redis.call('EXISTS', ENDPOINT_GONE .. principal .. ':' .. address) == 1 then
    redis.call('ZREM', DESTINATION .. destination, id)
    if job then redis.call('HSET', key, 'state', 'disabled', 'error', 'its URL has answered 410 Gone') end
    return
  end
  local attempt, step = redis.call('HINCRBY', key, 'attempts', 1), redis.call('HINCRBY', key, 'step', 1)
  redis.call('HSET', key, 'leased', time + ARGV[1])
  redis.call('ZADD', DESTINATION .. destination, time + ARGV[1], id)
  for _, name in ipairs({destination, principal}) do in_flight[name] = (in_flight[name] or 0) + 1 end
  local row = {delivery_id = id, attempt = attempt, step = step, destination = destination, job_id = job, kind = kind,
    url = url, ended = ended, finished = tonumber(finished), signers = secrets(principal)}
  if event then row.event = event else row.snapshot = snapshot(job) end
  claimed[#claimed + 1] = cmsgpack.pack(row)
end

for _, destination in ipairs(redis.call('ZRANGEBYSCORE', DESTINATIONS, '-inf', time, 'LIMIT', 0, 5000)) do
  if #claimed >= most then break end
  local principal = string.match(destination, '|(.*)$')
  local room = math.min(most - #claimed, ARGV[3] - (in_flight[destination] or 0), ARGV[4] - (in_flight[principal] or 0))
  if room > 0 then
    local due = redis.call('ZRANGEBYSCORE', DESTINATION .. destination, '-inf', time, 'LIMIT', 0, room)
    for _, id in ipairs(due) do claim(id, destination, principal) end
    reschedule(destination)
  else
    passed = passed + 1
  end
end
if ARGV[7] then
  redis.call(#claimed < most and 'SADD' or 'SREM', DISPATCHERS, ARGV[7])
  redis.call('PEXPIRE', DISPATCHERS, 60000)
end
local later = redis.call('ZRANGEBYSCORE', DESTINATIONS, '(' .. time, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return {claimed, later[2] and later[2] - time or 60000, passed}
