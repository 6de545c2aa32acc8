-- Claim deliveries that are due, a few of each destination and principal; each is counted and leased.
--
-- ARGV    lease (ms), most, most a destination, most a principal, what the sender has in flight (packed {destination or
--         principal: count}), ms for which secrets are kept unused
-- Answer  {rows, ms until the next is due, destinations passed over because of what is in flight}; a row is {id,
--         attempt, step, destination, job, kind, url, ended, finished, packed event or '', secrets, snapshot of the
--         job}

--- @include "lib/delivery/reschedule"
--- @include "lib/now"
--- @include "lib/record/snapshot"
--- @const DELIVERY DESTINATION DESTINATIONS ENDPOINT_GONE SECRETS

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
  claimed[#claimed + 1] = {id, attempt, step, destination, job, kind, url, ended, tonumber(finished), event or '',
    secrets(principal), event and {} or snapshot(job)}
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
local later = redis.call('ZRANGEBYSCORE', DESTINATIONS, '(' .. time, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return {claimed, later[2] and later[2] - time or 60000, passed}
