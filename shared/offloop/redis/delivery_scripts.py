"""The Lua of webhooks: what the steps of a job do for them, and the steps of a delivery itself.

A *delivery* tells one URL of the end of one job. It is written with the job, becomes due with the job's end, and is
sent by whichever worker takes it: at least once, always under the same id. A *route* is what one principal has for one
host; each has a line of its own, ordered by when its deliveries may be taken, so that a slow host holds up only its
own. Whoever takes a delivery moves it behind the end of a lease; a lost sender's deliveries are due again by that
alone. The number of the attempt is the fence.

::

    waiting --the job ends--> pending --2xx--> delivered
                              |  ^  |--410---> disabled   (and so are the later ones to this URL)
                              +--+  +--------> failed     (after the last retry)
                            retries            all three may be replayed
"""

from __future__ import annotations

from typing import Final

from offloop.redis import schema
from offloop.redis.connection import BLOCK_SECONDS

KEPT_MS: Final = 7 * 86_400_000
"""How long a delivery is kept beyond its job's time in the queue, and beyond each attempt to send it."""

MAX_URLS: Final = 20
"""URLs that may be told of one job."""

MAX_WAITING: Final = 10_000
"""Deliveries of one principal that may wait for one host."""

# `scripts.load` puts this before everything that uses it; RECORD is one of its names.
LIBRARY: Final = f"""
local DELIVERY, DELIVERIES_OF_JOB = '{schema.DELIVERY}', '{schema.DELIVERIES_OF_JOB}'
local ROUTE, ROUTES = '{schema.ROUTE}', '{schema.ROUTES}'
local SENDERS, SECRETS, ENDPOINT_GONE = '{schema.SENDERS}', '{schema.SECRETS}', '{schema.ENDPOINT_GONE}'
local DELIVERY_KEPT, MAX_URLS, MAX_WAITING = {KEPT_MS}, {MAX_URLS}, {MAX_WAITING}

-- Have a route looked at when the first of its deliveries may be taken.
local function rank(route)
  local first = redis.call('ZRANGE', ROUTE .. route, 0, 0, 'WITHSCORES')
  if not first[2] then
    redis.call('ZREM', ROUTES, route)
    return
  end
  redis.call('ZADD', ROUTES, first[2], route)
  for _, key in ipairs({{ROUTES, ROUTE .. route}}) do redis.call('PEXPIRE', key, DELIVERY_KEPT) end
end

-- Let a delivery be taken from a time on. A token wakes a sender where that is before it would look by itself.
local function send_at(id, route, at, time)
  redis.call('HSET', DELIVERY .. id, 'state', 'pending', 'next', at)
  redis.call('HDEL', DELIVERY .. id, 'leased')
  redis.call('PEXPIRE', DELIVERY .. id, DELIVERY_KEPT)
  redis.call('ZADD', ROUTE .. route, at, id)
  rank(route)
  if at <= time + {1000 * BLOCK_SECONDS} and redis.call('LLEN', SENDERS) < 100 then
    redis.call('RPUSH', SENDERS, 1)
    redis.call('PEXPIRE', SENDERS, 60000)
  end
end

-- A job has ended: what waited for that is due.
local function announce(job, state, time)
  for _, id in ipairs(redis.call('HVALS', DELIVERIES_OF_JOB .. job)) do
    local stage, route = unpack(redis.call('HMGET', DELIVERY .. id, 'state', 'route'))
    if stage == 'waiting' then
      redis.call('HSET', DELIVERY .. id, 'ended', state, 'finished', time)
      send_at(id, route, time, time)
    end
  end
end

-- Why a job cannot be accepted with this notice, or nil.
local function unwelcome(notice)
  if redis.call('EXISTS', ENDPOINT_GONE .. notice.principal .. ':' .. notice.address) == 1 then
    return {{'endpoint-gone'}}
  end
  local waiting = redis.call('ZCARD', ROUTE .. notice.route)
  if waiting >= MAX_WAITING then return {{'backlog', waiting}} end
end

-- Whether as many URLs as may be are told of a job already, and this is not one of them.
local function crowded(job, notice)
  return notice and redis.call('HLEN', DELIVERIES_OF_JOB .. job) >= MAX_URLS
    and redis.call('HEXISTS', DELIVERIES_OF_JOB .. job, notice.address) == 0
end

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
"""

# Take up to `most` deliveries that are due, a few of each route and principal; each is counted and leased.
# ARGV lease ms, most, most a route, most a principal, what the sender has in flight (packed {route or principal:
#      count}), ms for which secrets are kept unused
# → {taken*, ms until the next is due, routes passed over for what is in flight}, where each taken one is
#   {id, attempt, step, route, job, kind, url, ended, finished, packed event or '', secrets, snapshot of the job}
TAKE: Final = """
local time, taken, passed = now(), {}, 0
local most, in_flight = tonumber(ARGV[2]), cmsgpack.unpack(ARGV[5])

local function secrets(principal)
  local found = redis.call('ZREVRANGEBYSCORE', SECRETS .. principal, '+inf', '(' .. time)
  if #found > 0 then redis.call('PEXPIRE', SECRETS .. principal, ARGV[6]) end
  return found
end

local function pick(id, route, principal)
  local key = DELIVERY .. id
  local job, kind, url, address, ended, finished, event = unpack(
    redis.call('HMGET', key, 'job', 'kind', 'url', 'address', 'ended', 'finished', 'event'))
  if not job or redis.call('EXISTS', ENDPOINT_GONE .. principal .. ':' .. address) == 1 then
    redis.call('ZREM', ROUTE .. route, id)
    if job then redis.call('HSET', key, 'state', 'disabled', 'error', 'its URL has answered 410 Gone') end
    return
  end
  local attempt, step = redis.call('HINCRBY', key, 'attempts', 1), redis.call('HINCRBY', key, 'step', 1)
  redis.call('HSET', key, 'leased', time + ARGV[1])
  redis.call('ZADD', ROUTE .. route, time + ARGV[1], id)
  for _, name in ipairs({route, principal}) do in_flight[name] = (in_flight[name] or 0) + 1 end
  taken[#taken + 1] = {id, attempt, step, route, job, kind, url, ended, tonumber(finished), event or '',
    secrets(principal), event and {} or snapshot(job)}
end

for _, route in ipairs(redis.call('ZRANGEBYSCORE', ROUTES, '-inf', time, 'LIMIT', 0, 5000)) do
  if #taken >= most then break end
  local principal = string.match(route, '|(.*)$')
  local room = math.min(most - #taken, ARGV[3] - (in_flight[route] or 0), ARGV[4] - (in_flight[principal] or 0))
  if room > 0 then
    local due = redis.call('ZRANGEBYSCORE', ROUTE .. route, '-inf', time, 'LIMIT', 0, room)
    for _, id in ipairs(due) do pick(id, route, principal) end
    rank(route)
  else
    passed = passed + 1
  end
end
local later = redis.call('ZRANGEBYSCORE', ROUTES, '(' .. time, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return {taken, later[2] and later[2] - time or 60000, passed}
"""

# Keep deliveries that are being sent. ARGV lease ms, (id, attempt)…
HOLD: Final = """
local time = now()
for i = 2, #ARGV, 2 do
  local attempts, state, route = unpack(redis.call('HMGET', DELIVERY .. ARGV[i], 'attempts', 'state', 'route'))
  if attempts == ARGV[i + 1] and state == 'pending' then
    redis.call('HSET', DELIVERY .. ARGV[i], 'leased', time + ARGV[1])
    redis.call('ZADD', ROUTE .. route, 'XX', time + ARGV[1], ARGV[i])
  end
end
"""

# Note what came of an attempt.
# ARGV id, attempt, verdict ('delivered', 'failed', 'disabled', 'retry', or 'again': it was cut short, and does not
#      count), HTTP status or 0, what went wrong, ms until a retry, ms to keep one that is over, packed event or '',
#      ms for which a URL that is gone is remembered
# → 1, or 0 where another attempt has it
SETTLE: Final = """
local id, verdict, time = ARGV[1], ARGV[3], now()
local key = DELIVERY .. id
local attempts, state, route, principal, address = unpack(
  redis.call('HMGET', key, 'attempts', 'state', 'route', 'principal', 'address'))
if attempts ~= ARGV[2] or state ~= 'pending' then return 0 end
if ARGV[8] ~= '' then redis.call('HSET', key, 'event', ARGV[8]) end
if verdict == 'again' then
  redis.call('HINCRBY', key, 'step', -1)
else
  redis.call('HSET', key, 'status', ARGV[4], 'error', ARGV[5])
end
if verdict == 'retry' or verdict == 'again' then
  send_at(id, route, time + ARGV[6], time)
  return 1
end
redis.call('HSET', key, 'state', verdict)
redis.call('HDEL', key, 'next', 'leased')
redis.call('PEXPIRE', key, ARGV[7])
redis.call('ZREM', ROUTE .. route, id)
rank(route)
if verdict == 'disabled' then redis.call('SET', ENDPOINT_GONE .. principal .. ':' .. address, 1, 'PX', ARGV[9]) end
return 1
"""

# Send a delivery again, from the first step of its schedule; a URL that was gone counts as back.
# ARGV id, principal → its state before, 'sending', or nil where the principal has no such delivery
REPLAY: Final = """
local key, time = DELIVERY .. ARGV[1], now()
local owner, state, route, address, leased = unpack(
  redis.call('HMGET', key, 'principal', 'state', 'route', 'address', 'leased'))
if owner ~= ARGV[2] then return nil end
if state == 'waiting' then return state end
if leased and tonumber(leased) > time then return 'sending' end
redis.call('DEL', ENDPOINT_GONE .. owner .. ':' .. address)
redis.call('HSET', key, 'step', 0)
send_at(ARGV[1], route, time, time)
return state
"""

# Give a principal a new secret; those before it go on signing for a while.
# ARGV principal, secret, ms for which they do, ms for which the secrets are kept unused
# → until when they do, as text, newest first
ROTATE: Final = """
local key, time = SECRETS .. ARGV[1], now()
for _, old in ipairs(redis.call('ZRANGEBYSCORE', key, '+inf', '+inf')) do
  if old ~= ARGV[2] then redis.call('ZADD', key, time + ARGV[3], old) end
end
if ARGV[3] == '0' then redis.call('DEL', key) end
redis.call('ZADD', key, '+inf', ARGV[2])
redis.call('ZREMRANGEBYSCORE', key, '-inf', time)
redis.call('ZREMRANGEBYRANK', key, 0, -6)  -- each signature is a header's worth of bytes: five at most
redis.call('PEXPIRE', key, ARGV[4])
local untils = {}
local found = redis.call('ZREVRANGE', key, 1, -1, 'WITHSCORES')
for i = 2, #found, 2 do untils[#untils + 1] = found[i] end
return untils
"""

# The secrets of a principal, newest first; the one given becomes the first where there is none.
# ARGV principal, secret, ms for which the secrets are kept unused
SIGNERS: Final = """
local key, time = SECRETS .. ARGV[1], now()
if redis.call('ZCOUNT', key, '+inf', '+inf') == 0 then redis.call('ZADD', key, '+inf', ARGV[2]) end
redis.call('PEXPIRE', key, ARGV[3])
return redis.call('ZREVRANGEBYSCORE', key, '+inf', '(' .. time)
"""
