"""The Lua that makes each transition of a job atomic: one constant a step, its contract above it.

All of them are safe to send twice (a connection may break after the server has worked), and all take the time from
Redis, so that no clock of a front end or worker matters. They build key names from ids, as arq does, so there is no
Redis Cluster.

A worker that can take jobs *offers* so many places. A submit hands its job to the worker with the most of them; only
where there is none, the job waits, and whoever has a place next takes it. A queue has two *levels*: ``interactive`` for
jobs that somebody waits for, ``batch`` for those that nobody does. In each, every principal has a line of their own,
and principals take turns. Places are only hints: each heartbeat counts them anew and takes what waits.

Words: *payload* arq's serialized job · *lease* a key that lives as long as its worker renews it · *token*
``owner:number``, the fence: written into the record at each claim, so that a late write of a lost attempt is refused ·
*pool* the workers that serve the same queues · *handed* given to a worker that has not shown yet that it knows of it.

What a worker is told on its channel: ``{'run', row}`` as `take` answers it (its payload false where it is long),
``{'stop', token}``, ``{'look'}``: something waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from offloop.redis import batch_scripts, delivery_scripts, schema
from offloop.redis.lua import Script, link
from offloop.redis.schema import SHOWN

if TYPE_CHECKING:
    from redis.asyncio import Redis

LEASE_MS: Final = 4000
"""A killed worker's jobs start elsewhere after this and a sweep at most, however long they are."""


def load(redis: Redis, script: str) -> Script:
    """One of the scripts below, ready to be called with ``keys=`` and ``args=``."""
    library = _NAMES + delivery_scripts.LIBRARY + _LIBRARY + batch_scripts.LIBRARY
    return Script(redis, link(library, script))


_NAMES: Final = f"""
local PAYLOAD, LEASE, RESULT = '{schema.PAYLOAD}', '{schema.LEASE}', '{schema.RESULT}'
local RECORD, FENCE, TURN = '{schema.RECORD}', '{schema.FENCE}', '{schema.TURN}'
local JOINED, GONE = '{schema.JOINED}', '{schema.GONE}'
local REPLY, CONTROL = '{schema.REPLY_CHANNEL}', '{schema.CONTROL_CHANNEL}'
local QUEUE, LINE, BEATS = '{schema.QUEUE}', '{schema.LINE}', '{schema.BEATS}'
local IDLE, POOLS, HELD = '{schema.IDLE}', '{schema.POOLS}', '{schema.HELD}'
local TURNS, DEPTH, LEASES, PACE = '{schema.TURNS}', '{schema.DEPTH}', '{schema.LEASES}', '{schema.PACE}'
local BATCH, PARENTS, BATCHES_KEPT = '{schema.BATCH}', '{schema.PARENTS}', {batch_scripts.KEPT_MS}
local LEASE_MS = {LEASE_MS}
local SHOWN = {{{", ".join(f"'{name}'" for name in SHOWN)}}}
"""

_LIBRARY: Final = """
local INLINE = 16384  -- a larger result is fetched by the front end: pushes share a bounded output buffer
local ALL = '*'       -- the field of a queue's depth that counts every principal's jobs
local settle, halt    -- what becomes of batches as items end or they are given up: see `offloop.redis.batch_scripts`

local clock
local function now()
  if not clock then
    local t = redis.call('TIME')
    clock = t[1] * 1000 + math.floor(t[2] / 1000)
  end
  return clock
end

-- A job as everybody is shown it: the fields of `offloop.redis.schema.SHOWN`, and the outcome.
local function snapshot(id)
  return {redis.call('HMGET', RECORD .. id, unpack(SHOWN)), redis.call('GET', RESULT .. id)}
end

-- The same, from a whole record.
local function shown(record, result)
  local values = {}
  for i, name in ipairs(SHOWN) do values[i] = record[name] or false end
  return {values, result}
end

-- A whole record by its fields.
local function read(id)
  local flat, record = redis.call('HGETALL', RECORD .. id), {}
  for i = 1, #flat, 2 do record[flat[i]] = flat[i + 1] end
  return record
end

-- Push a job to every front end that waits for it.
local function push(id, waiters, shot)
  if shot[2] and #shot[2] > INLINE then shot = {} end
  local message = cmsgpack.pack({id, shot})
  for front_end in string.gmatch(waiters, '[^,]+') do redis.call('PUBLISH', REPLY .. front_end, message) end
end

-- Push it as it is now.
local function tell(id)
  local waiters = redis.call('HGET', RECORD .. id, 'waiters')
  if waiters then push(id, waiters, snapshot(id)) end
end

-- Put a request into a set. Sets, not counters, say who joined and who gave up: what is sent twice counts once.
local function note(set, request, keep)
  redis.call('SADD', set, request)
  redis.call('PEXPIRE', set, keep)
end

-- Have a front end told of a job's changes while it goes on.
local function wait(id, front_end)
  if front_end == '' then return end
  local waiters = redis.call('HGET', RECORD .. id, 'waiters')
  if waiters and string.find(',' .. waiters .. ',', ',' .. front_end .. ',', 1, true) then return end
  redis.call('HSET', RECORD .. id, 'waiters', waiters and waiters .. ',' .. front_end or front_end)
end

-- Count the ids in a principal's lines; a count of zero leaves nothing behind.
local function count(queue, principal, change)
  for _, who in ipairs({principal, ALL}) do
    if redis.call('HINCRBY', DEPTH .. queue, who, change) <= 0 then redis.call('HDEL', DEPTH .. queue, who) end
  end
end

-- Which worker has a token.
local function owner_of(token)
  return string.match(token, '^(.*):')
end

-- Which of the workers that serve a queue can take most, and hears of it; and its pool. Nil where none can.
local function idle(queue)
  for _, pool in ipairs(redis.call('ZRANGE', POOLS .. queue, 0, -1)) do
    local owner = redis.call('ZREVRANGE', IDLE .. pool, 0, 0)[1]
    while owner do
      if redis.call('PUBSUB', 'NUMSUB', CONTROL .. owner)[2] > 0 then return owner, pool end
      redis.call('ZREM', IDLE .. pool, owner)  -- it has left without a word
      owner = redis.call('ZREVRANGE', IDLE .. pool, 0, 0)[1]
    end
  end
end

-- Have one more worker look at a queue if something waits in it.
local function nudge(queue)
  if not redis.call('HGET', DEPTH .. queue, ALL) then return end
  local owner, pool = idle(queue)
  if not owner then return end
  redis.call('ZREM', IDLE .. pool, owner)  -- so that the next is nudged the next time; it offers itself again
  redis.call('PUBLISH', CONTROL .. owner, cmsgpack.pack({'look'}))
end

-- Which token a worker's next attempt has.
local function new_token(owner)
  return owner .. ':' .. redis.call('INCR', FENCE)
end

-- Lease a job to the worker of a token, which is in the record as well.
local function lease_out(id, token, queue, time, lease, keep)
  redis.call('SET', LEASE .. id, token, 'PX', lease)
  redis.call('ZADD', LEASES .. queue, time + lease, id)
  redis.call('SADD', HELD .. owner_of(token), id)
  redis.call('PEXPIRE', HELD .. owner_of(token), keep)
end

-- Let a job wait in its principal's line, at its front (`side` LPUSH) or end (RPUSH), and give the principal a turn.
local function line_up(id, queue, level, principal, side)
  local lane = queue .. ':' .. level
  redis.call('ZADD', QUEUE .. queue, 'NX', now(), id)  -- one of stock arq is there already, and keeps its place
  redis.call(side, LINE .. lane .. ':' .. principal, id)
  if not redis.call('ZSCORE', TURNS .. lane, principal) then  -- behind those whose turn it is before
    redis.call('ZADD', TURNS .. lane, redis.call('INCR', TURN), principal)
  end
  count(queue, principal, 1)
end

-- Make the state of a job final, keep outcome and record for `keep` ms, and forget the rest. An item of a batch that
-- goes on is kept until that ends; what it says of itself, and whether its outcome is shared, goes by `keep` all the
-- same.
local function conclude(id, record, state, result, keep)
  local time, queue, key, item = now(), record.queue, record.key, record.batch == 'item'
  local stay = item and redis.call('EXISTS', PARENTS .. id) == 1 and math.max(keep, BATCHES_KEPT) or keep
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

-- A job has waited longer than its record is kept: whoever was to be told of its end is told of that.
local function lose(id, queue, time)
  redis.call('ZREM', QUEUE .. queue, id)
  announce(id, 'failed', time)
  settle(id, 'failed')
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
    local line = LINE .. lane .. ':' .. record.principal
    count(queue, record.principal, -redis.call('LREM', line, -1, id))
    if redis.call('LLEN', line) == 0 then redis.call('ZREM', TURNS .. lane, record.principal) end
    redis.call('ZREM', QUEUE .. queue, id)
    conclude(id, record, 'cancelled', result, keep)
  else
    redis.call('HSET', RECORD .. id, 'cancel', 1)
    redis.call('PUBLISH', CONTROL .. owner_of(record.token), cmsgpack.pack({'stop', record.token}))
  end
  return 0
end

-- Send a running job back to the front of its line; an execution that does not count is taken off again.
local function requeue(id, queue, counts)
  local level, principal, token, tries = unpack(
    redis.call('HMGET', RECORD .. id, 'level', 'principal', 'token', 'tries'))
  redis.call('HSET', RECORD .. id, 'state', 'queued')
  if not counts and tonumber(tries or 0) > 0 then redis.call('HINCRBY', RECORD .. id, 'tries', -1) end
  redis.call('HDEL', RECORD .. id, 'token', 'progress', 'started', 'handed')
  if token then redis.call('SREM', HELD .. owner_of(token), id) end
  redis.call('DEL', LEASE .. id)
  redis.call('ZREM', LEASES .. queue, id)
  line_up(id, queue, level, principal, 'LPUSH')
  tell(id)
end

-- Take so many jobs of the lanes, in their order, and in each one principal after the other: a lease, a token and a
-- counted execution each. Jobs that have expired meanwhile are passed over; those whose caller left without knowing
-- them are ended.
-- → {{id, token, payload or '', executions counted, executions allowed, attempt, principal, kind, queue}…}
local function take(want, places)
  if places <= 0 or redis.call('EXISTS', unpack(KEYS)) == 0 then return {} end
  local terms, time, taken, passed = cmsgpack.unpack(want.terms), now(), {}, 0
  for _, place in ipairs(terms.lanes) do
    local queue, lane = place[1], place[1] .. ':' .. place[2]
    while #taken < places and passed < 1000 do
      local principal = redis.call('ZRANGE', TURNS .. lane, 0, 0)[1]
      if not principal then break end
      local line = LINE .. lane .. ':' .. principal
      local id = redis.call('LPOP', line)
      if id then
        count(queue, principal, -1)
        redis.call('ZREM', QUEUE .. queue, id)
      end
      if redis.call('LLEN', line) == 0 then
        redis.call('ZREM', TURNS .. lane, principal)
      else
        redis.call('ZADD', TURNS .. lane, redis.call('INCR', TURN), principal)
      end
      local state, deadline, ending, allowed, tries, attempt, kind, listened = unpack(redis.call('HMGET',
        RECORD .. (id or ''), 'state', 'deadline', 'cancel', 'allowed', 'tries', 'attempt', 'kind', 'listened'))
      if state ~= 'queued' then
        if id and not state then lose(id, queue, time) end
        passed = passed + 1
      elseif ending or (deadline and tonumber(deadline) < time) then
        conclude(id, read(id), 'cancelled', terms.abandoned, terms.retention)
        passed = passed + 1
      else
        allowed, tries, attempt = tonumber(allowed or 1), tonumber(tries or 0) + 1, tonumber(attempt)
        if tries <= allowed then attempt = attempt + 1 end  -- one too many is only taken to be ended
        local token = new_token(want.owner)
        lease_out(id, token, queue, time, terms.lease, want.keep)
        redis.call('HSET', RECORD .. id, 'state', 'running', 'started', time, 'token', token, 'tries', tries,
          'attempt', attempt)
        redis.call('PEXPIRE', RECORD .. id, want.keep)
        -- Who only waits, waits for the end, and reads again when tired of it.
        if listened then tell(id) end
        taken[#taken + 1] = {id, token, redis.call('GET', PAYLOAD .. id) or '', tries, allowed, attempt, principal,
          kind or '', queue}
      end
    end
  end
  return taken
end

-- What a worker that may be given jobs says first. KEYS the turns of its lanes; ARGV owner, pool, slots (jobs it may
-- hold), keep (ms), and a map: queues, lanes {{queue, level}…} in the order in which it looks at them, lease (ms),
-- abandoned (packed outcome), retention (ms).
local function wanted()
  return {owner = ARGV[1], pool = ARGV[2], slots = tonumber(ARGV[3]), keep = ARGV[4], terms = ARGV[5]}
end

-- Give a worker what waits, and offer what places it has left.
local function fill(want)
  local places = want.slots - redis.call('SCARD', HELD .. want.owner)
  local taken = take(want, places)
  places = places - #taken
  if places <= 0 then
    redis.call('ZREM', IDLE .. want.pool, want.owner)
  elseif redis.call('ZADD', IDLE .. want.pool, places, want.owner) == 1 then
    redis.call('PEXPIRE', IDLE .. want.pool, want.keep)
  end
  return taken
end

-- Why a queue cannot take so many more jobs of a principal's, or nil.
local function full(job, more)
  local mine, all = unpack(redis.call('HMGET', DEPTH .. job.queue, job.principal, ALL))
  mine, all = tonumber(mine or 0), tonumber(all or 0)
  local whose, waiting
  if all + more > job.max_queued then whose, waiting = 'queue', all
  elseif mine + more > job.max_queued_per_principal then whose, waiting = 'principal', mine
  else return end
  return {'busy', waiting, tonumber(redis.call('GET', PACE .. job.queue) or 0), whose}
end

-- The job that a key names, where another request may share it: not one that has failed or was cancelled, nor a
-- completed one that is about to expire.
local function shareable(key, request, fresh)
  local other = key ~= '' and redis.call('GET', key)
  if not other or other == request then return end
  local state, ending, expires, batch = unpack(
    redis.call('HMGET', RECORD .. other, 'state', 'cancel', 'expires', 'batch'))
  if not state or state == 'failed' or state == 'cancelled' or ending then return end
  if state == 'completed' and tonumber(expires) - now() < fresh then return end
  return other, state, batch
end

-- Note that a request shares a job.
local function share(id, request, keep)
  note(JOINED .. id, request, keep)
  redis.call('HDEL', RECORD .. id, 'deadline')
end

-- List a job among its principal's; now and then those are dropped that are kept no longer.
local function list(id, job, time)
  if time % 16 == 0 then redis.call('ZREMRANGEBYSCORE', job.index, '-inf', '(' .. (time - job.keep)) end
  redis.call('ZADD', job.index, time, id)
  redis.call('PEXPIRE', job.index, job.keep)
end

-- Have a request share the job that its key names, or say why it may not; nil where there is none to share.
local function join(request, job)
  local other, _, batch = shareable(job.key, request, job.fresh)
  if not other then return end
  if redis.call('HGET', RECORD .. other, 'fingerprint') ~= job.fingerprint then return {'conflict', other} end
  if crowded(other, job.notify) then return {'crowded', other} end
  share(other, request, job.keep)
  if batch == 'item' then list(other, job, now()) end  -- a batch shows its items itself; who asks for one is told of it
  return {'joined', other}
end

-- The record of a new job.
local function draft(job, time, state)
  return {principal = job.principal, kind = job.kind, queue = job.queue, level = job.level, state = state, attempt = 0,
    tries = 0, created = time, expires = time + job.keep, allowed = job.allowed, key = job.key ~= '' and job.key or nil,
    fingerprint = job.key ~= '' and job.fingerprint or nil, waiters = job.waiters,
    deadline = job.patience and time + job.patience}
end

-- Write a new job down.
local function store(id, record, job)
  local flat = {}
  for name, value in pairs(record) do
    flat[#flat + 1] = name
    flat[#flat + 1] = value
  end
  redis.call('HSET', RECORD .. id, unpack(flat))
  redis.call('PEXPIRE', RECORD .. id, job.keep)
  if record.key then redis.call('SET', record.key, id, 'PX', job.keep) end
end

-- Hand a new job to a worker that has a place. Answers its record, or nil where nobody has one.
-- A job that may be run again counts as executed from now on; any other once its worker says that it begins.
local function hand(id, payload, job, time)
  local owner, pool = idle(job.queue)
  if not owner then return end
  local token = new_token(owner)
  local record = draft(job, time, 'running')
  record.attempt, record.tries, record.started, record.token = 1, job.allowed > 1 and 1 or 0, time, token
  record.handed = 1
  redis.call('SET', PAYLOAD .. id, payload, 'PX', job.keep)
  store(id, record, job)
  lease_out(id, token, job.queue, time, LEASE_MS, job.keep)
  local row = {id, token, #payload <= INLINE and payload, 1, job.allowed, 1, job.principal, job.kind, job.queue}
  redis.call('PUBLISH', CONTROL .. owner, cmsgpack.pack({'run', row}))
  if tonumber(redis.call('ZINCRBY', IDLE .. pool, -1, owner)) <= 0 then redis.call('ZREM', IDLE .. pool, owner) end
  return record
end

-- Let a new job wait in its line. Answers its record.
local function queue_up(id, payload, job, time)
  local record = draft(job, time, 'queued')
  redis.call('SET', PAYLOAD .. id, payload, 'PX', job.keep)
  store(id, record, job)
  line_up(id, job.queue, job.level, job.principal, 'RPUSH')
  return record
end

-- Have a job that a submit has found told of, and answer it.
local function attend(answer, job, front_end, state)
  local id = answer[2]
  if job.notify then enlist(id, job.notify, state, now()) end
  if state == 'queued' or state == 'running' then wait(id, front_end) end
  return {answer[1], id, snapshot(id)}
end
"""

# Accept a job, or join the one its key already names (a failed or cancelled one is not joined).
# ARGV id, payload, front end ('' when nobody waits), and a map: principal, kind, queue, level, key ('' for none),
#      index, fingerprint, fresh (ms a completed job must still be kept to be joined), max_queued,
#      max_queued_per_principal, keep (ms), allowed (executions), patience (ms after
#      which a job that is still queued and was not disclosed is dropped; may be missing), notify (whom to tell of its
#      end, see `offloop.queue.subscription`; may be missing)
# → {'new' | 'joined', id, snapshot}, {'conflict', id}, {'busy', jobs waiting, ms a job takes, 'queue' | 'principal'},
#   or, because of whom to tell, {'endpoint-gone'}, {'backlog', deliveries waiting} or {'crowded', id}
SUBMIT: Final = """
local id, payload, front_end, job = ARGV[1], ARGV[2], ARGV[3], cmsgpack.unpack(ARGV[4])
local declined = job.notify and unwelcome(job.notify)
if declined then return declined end
local answer = join(id, job) or {'new', id}
if answer[1] == 'conflict' or answer[1] == 'crowded' then return answer end
local known = redis.call('HGET', RECORD .. answer[2], 'state')
if known then return attend(answer, job, front_end, known) end
local time = now()
job.waiters = front_end ~= '' and front_end or nil
local record = hand(id, payload, job, time)
if not record then
  local busy = full(job, 1)
  if busy then return busy end
  record = queue_up(id, payload, job, time)
end
list(id, job, time)
if job.notify then enlist(id, job.notify, record.state, time) end
return {'new', id, shown(record, false)}
"""

# Read a job and, while it goes on, have its changes pushed to a front end.
# ARGV id, principal, front end ('' only reads), '1' where it is to be told that the job begins, too
# → snapshot, or nil where the principal has no such job
READ: Final = """
local id = ARGV[1]
local owner, state = unpack(redis.call('HMGET', RECORD .. id, 'principal', 'state'))
if owner ~= ARGV[2] then return nil end
if state == 'queued' and ARGV[4] == '1' then redis.call('HSET', RECORD .. id, 'listened', 1) end
if state == 'queued' or state == 'running' then wait(id, ARGV[3]) end
return snapshot(id)
"""

# The caller has been told the id: the job is run however long it waits. ARGV id
DISCLOSE: Final = """
return redis.call('HDEL', RECORD .. ARGV[1], 'deadline')
"""

# Ask for a job to stop. ARGV id, principal, id of this request, packed outcome, keep ms
# → {snapshot, requests that still share it}, or nil where the principal has no such job
CANCEL: Final = """
if redis.call('HGET', RECORD .. ARGV[1], 'principal') ~= ARGV[2] then return nil end
local left = give_up(ARGV[1], ARGV[3], ARGV[4], tonumber(ARGV[5]))
return {snapshot(ARGV[1]), left}
"""

# A call left before it was told the job's id.
# ARGV id, id of the request, packed outcome, keep ms → 1 where that ends the job, or 0 where others share it or it has
# ended before
LEAVE: Final = """
local state = redis.call('HGET', RECORD .. ARGV[1], 'state')
if state ~= 'queued' and state ~= 'running' then return 0 end
return give_up(ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])) == 0 and 1 or 0
"""

# Begin a job that was handed over and may not be run again: from now on it counts as executed. ARGV id, token
# → 1, or 0 where the job is somebody else's by now
BEGIN: Final = """
local token, state, handed = unpack(redis.call('HMGET', RECORD .. ARGV[1], 'token', 'state', 'handed'))
if token ~= ARGV[2] or state ~= 'running' then return 0 end
if handed then
  redis.call('HDEL', RECORD .. ARGV[1], 'handed')
  redis.call('HINCRBY', RECORD .. ARGV[1], 'tries', 1)
end
return 1
"""

# Show that a worker lives, renew its leases, give it what waits, and offer the places it has. A lease that lapsed is
# taken again unless the job was given away since. A job that was handed to the worker half a lease ago, and that it
# knows nothing of, is put back: its message was lost.
# KEYS, ARGV as `wanted` says; then alive ms, a map of how long jobs took by queue (ms), (id, token) of what it holds…
# → {tokens of attempts lost, of those to be cancelled, what `take` answers}
BEAT: Final = """
local want, alive, time = wanted(), ARGV[6], now()
local terms = cmsgpack.unpack(want.terms)
for _, queue in ipairs(terms.queues) do
  for set, member in pairs({[BEATS .. queue] = want.owner, [POOLS .. queue] = want.pool}) do
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
"""

# Note how far an attempt is. ARGV id, token, packed progress → 1, or 0 where the attempt is no longer the job's own
PROGRESS: Final = """
local token, state = unpack(redis.call('HMGET', RECORD .. ARGV[1], 'token', 'state'))
if token ~= ARGV[2] or state ~= 'running' then return 0 end
redis.call('HSET', RECORD .. ARGV[1], 'progress', ARGV[3])
tell(ARGV[1])
return 1
"""

# End a job, and take what waits for the place that is free now, or offer it.
# KEYS, ARGV as `wanted` says; then id, token, state, packed outcome, keep ms
# → {1, or 0 where the attempt was fenced off; what `take` answers}
FINISH: Final = """
local id, record, stored = ARGV[6], read(ARGV[6]), 0
if record.token == ARGV[7] and record.state == 'running' then
  conclude(id, record, ARGV[8], ARGV[9], tonumber(ARGV[10]))
  stored = 1
end
return {stored, fill(wanted())}
"""

# Hand a job back to the front of its line; an attempt that a drain cut short does not count as an execution.
# KEYS, ARGV as `wanted` says; then id, token, '1' where it counts
# → {1, or 0 where the attempt was fenced off; what `take` answers}
RELEASE: Final = """
local id, stored = ARGV[6], 0
local token, state, queue = unpack(redis.call('HMGET', RECORD .. id, 'token', 'state', 'queue'))
if token == ARGV[7] and state == 'running' then
  requeue(id, queue, ARGV[8] == '1')
  stored = 1
end
local taken = fill(wanted())
if stored == 1 then nudge(queue) end
return {stored, taken}
"""

# Find what no message told of: jobs whose worker was lost, jobs enqueued by stock arq, lines that nobody looks at.
# Where nobody swept for half a lease, the server was away or frozen, and nobody could renew either: every lease gets
# half a term first, so that the workers that live can show it.
# KEYS lock, time of the last sweep, where the search for stock jobs goes on
# ARGV queue, lock ms, lease ms, keep ms → jobs found, or -1 where another process sweeps
SWEEP: Final = """
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
    if not state then lose(id, queue, time) end
  else
    requeue(id, queue, true)
    nudge(queue)
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
        line_up(id, queue, 'batch', '', 'RPUSH')
        found = found + 1
      else
        lose(id, queue, time)  -- its payload has expired, nobody can run it
      end
    end
  end
  redis.call('SET', KEYS[3], #page < 500 and 0 or offset + 500, 'PX', ARGV[4])
end
nudge(queue)
return found
"""
