"""The Lua that makes each transition of a job atomic: one constant a step, its contract above it.

All of them are safe to send twice (a connection may break after the server has worked), and all take the time from
Redis, so that no clock of a front end or worker matters. They build key names from ids, as arq does, so there is no
Redis Cluster.

Words: *payload* arq's serialized job · *lease* a key that lives as long as its worker renews it · *token*
``owner:number``, the fence: written into the record at each claim, so that a late write of a lost attempt is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from offloop import wire

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.commands.core import AsyncScript


def load(redis: Redis, script: str) -> AsyncScript:
    """One of the scripts below, ready to be called with ``keys=`` and ``args=``."""
    loaded: AsyncScript = redis.register_script(_NAMES + _LIBRARY + script)
    return loaded


_NAMES: Final = f"""
local PAYLOAD, LEASE, RESULT, TRIES = '{wire.PAYLOAD}', '{wire.LEASE}', '{wire.RESULT}', '{wire.TRIES}'
local RECORD, WAITERS, FENCE = '{wire.RECORD}', '{wire.WAITERS}', '{wire.FENCE}'
local REPLY, CONTROL = '{wire.REPLY_CHANNEL}', '{wire.CONTROL_CHANNEL}'
"""

_LIBRARY: Final = """
local INLINE = 16384  -- a larger result is fetched by the front end: pushes share a bounded output buffer

local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function snapshot(id)
  return {redis.call('HGETALL', RECORD .. id), redis.call('GET', RESULT .. id)}
end

-- Push the record as it is now to every front end that waits for it.
local function tell(id)
  local waiting = redis.call('SMEMBERS', WAITERS .. id)
  if #waiting == 0 then return end
  local shot = snapshot(id)
  if shot[2] and #shot[2] > INLINE then shot = {} end
  local message = cmsgpack.pack({id, shot})
  for _, front_end in ipairs(waiting) do redis.call('PUBLISH', REPLY .. front_end, message) end
end

-- Make the state final, keep outcome and record for `keep` ms, and forget the rest.
local function conclude(id, queue, state, result, keep)
  local time = now()
  redis.call('SET', RESULT .. id, result, 'PX', keep)
  redis.call('HSET', RECORD .. id, 'state', state, 'finished', time, 'expires', time + keep)
  redis.call('PEXPIRE', RECORD .. id, keep)
  local key = redis.call('HGET', RECORD .. id, 'key')
  if key then redis.call('PEXPIRE', key, keep) end
  redis.call('DEL', PAYLOAD .. id, LEASE .. id, TRIES .. id)
  redis.call('ZREM', queue, id)
  tell(id)
  redis.call('DEL', WAITERS .. id)
end

-- End a queued job at once; tell the worker of a running one to kill its child. An ended one is left alone: 0.
local function cancel(id, result, keep)
  local state, queue, token = unpack(redis.call('HMGET', RECORD .. id, 'state', 'queue', 'token'))
  if state == 'queued' then
    conclude(id, 'arq:queue:' .. queue, 'cancelled', result, keep)
  elseif state == 'running' then
    redis.call('HSET', RECORD .. id, 'cancel', 1)
    redis.call('PUBLISH', CONTROL .. string.match(token, '^(.*):'), id)
  else
    return 0
  end
  return 1
end
"""

# Accept a job, or join the one its idempotency key already names.
# KEYS queue, wake, index, idempotency ('' for none)
# ARGV id, payload, principal, kind, queue's name, front end ('' when nobody waits), fingerprint, max queued, keep ms,
#      executions allowed
# → {'new' | 'joined', id, snapshot}, {'conflict', id} or {'busy', jobs in the queue}
SUBMIT: Final = """
local id, keep = ARGV[1], tonumber(ARGV[9])
local answer = 'new'
if KEYS[4] ~= '' then
  local other = redis.call('GET', KEYS[4])
  local state = other and redis.call('HGET', RECORD .. other, 'state')
  if state and state ~= 'failed' and state ~= 'cancelled' then
    if redis.call('HGET', RECORD .. other, 'fingerprint') ~= ARGV[7] then return {'conflict', other} end
    id, answer = other, 'joined'
  end
end
local state = redis.call('HGET', RECORD .. id, 'state')
if not state then
  local waiting = redis.call('ZCARD', KEYS[1])
  if waiting >= tonumber(ARGV[8]) then return {'busy', waiting} end
  local time = now()
  redis.call('HSET', RECORD .. id, 'principal', ARGV[3], 'kind', ARGV[4], 'queue', ARGV[5], 'state', 'queued',
    'attempt', 0, 'created', time, 'expires', time + keep, 'fingerprint', ARGV[7], 'allowed', ARGV[10])
  redis.call('PEXPIRE', RECORD .. id, keep)
  redis.call('SET', PAYLOAD .. id, ARGV[2], 'PX', keep)
  redis.call('ZADD', KEYS[1], time, id)
  redis.call('RPUSH', KEYS[2], id)
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. (time - keep))
  redis.call('ZADD', KEYS[3], time, id)
  redis.call('PEXPIRE', KEYS[3], keep)
  if KEYS[4] ~= '' then
    redis.call('SET', KEYS[4], id, 'PX', keep)
    redis.call('HSET', RECORD .. id, 'key', KEYS[4])
  end
end
if ARGV[6] ~= '' and (not state or state == 'queued' or state == 'running') then
  redis.call('SADD', WAITERS .. id, ARGV[6])
  redis.call('PEXPIRE', WAITERS .. id, keep)
end
return {answer, id, snapshot(id)}
"""

# Read a job and, while it goes on, have its changes pushed to a front end.
# ARGV id, principal, front end ('' only reads), keep ms → snapshot, or nil where the principal has no such job
READ: Final = """
local id = ARGV[1]
local owner, state = unpack(redis.call('HMGET', RECORD .. id, 'principal', 'state'))
if owner ~= ARGV[2] then return nil end
if ARGV[3] ~= '' and (state == 'queued' or state == 'running') then
  redis.call('SADD', WAITERS .. id, ARGV[3])
  redis.call('PEXPIRE', WAITERS .. id, ARGV[4])
end
return snapshot(id)
"""

# Ask for a job to stop. ARGV id, principal, packed outcome, keep ms → snapshot, or nil where there is no such job
CANCEL: Final = """
if redis.call('HGET', RECORD .. ARGV[1], 'principal') ~= ARGV[2] then return nil end
cancel(ARGV[1], ARGV[3], ARGV[4])
return snapshot(ARGV[1])
"""

# A front end no longer waits; a job that nobody else waits for is cancelled.
# ARGV id, front end, packed outcome, keep ms → 1 where the job was cancelled, else 0
LEAVE: Final = """
redis.call('SREM', WAITERS .. ARGV[1], ARGV[2])
if redis.call('SCARD', WAITERS .. ARGV[1]) > 0 then return 0 end
return cancel(ARGV[1], ARGV[3], ARGV[4])
"""

# Take jobs: one lease, one token, one counted try each; ids that are not due, leased or gone are passed over.
# KEYS queue  ARGV owner, lease ms, keep ms, ids…
# → {id, token, payload or '', executions counted, executions allowed, attempt, principal, kind}*
CLAIM: Final = """
local time, taken = now(), {}
for i = 4, #ARGV do
  local id = ARGV[i]
  local due = redis.call('ZSCORE', KEYS[1], id)
  if due and tonumber(due) <= time and redis.call('EXISTS', LEASE .. id) == 0 then
    local token = ARGV[1] .. ':' .. redis.call('INCR', FENCE)
    redis.call('SET', LEASE .. id, token, 'PX', ARGV[2])
    local tries = redis.call('INCR', TRIES .. id)
    redis.call('PEXPIRE', TRIES .. id, ARGV[3])
    local attempt = redis.call('HINCRBY', RECORD .. id, 'attempt', 1)
    redis.call('HSET', RECORD .. id, 'state', 'running', 'started', time, 'token', token)
    redis.call('PEXPIRE', RECORD .. id, ARGV[3])
    local allowed, principal, kind = unpack(redis.call('HMGET', RECORD .. id, 'allowed', 'principal', 'kind'))
    tell(id)
    taken[#taken + 1] = {id, token, redis.call('GET', PAYLOAD .. id) or '', tries, tonumber(allowed or 1), attempt,
      principal or '', kind or ''}
  end
end
return taken
"""

# Show that a worker lives, and renew its leases. One that lapsed is taken again unless somebody else has claimed since.
# KEYS beats of each queue served  ARGV lease ms, keep ms, owner, alive ms, (id, token)…
# → {ids lost, ids to be cancelled}
RENEW: Final = """
local lost, cancelled, time = {}, {}, now()
for _, beats in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', beats, '-inf', time)
  redis.call('ZADD', beats, time + ARGV[4], ARGV[3])
  redis.call('PEXPIRE', beats, ARGV[4])
end
for i = 5, #ARGV, 2 do
  local id = ARGV[i]
  local token, state, marked = unpack(redis.call('HMGET', RECORD .. id, 'token', 'state', 'cancel'))
  if token == ARGV[i + 1] and state == 'running' then
    redis.call('SET', LEASE .. id, token, 'PX', ARGV[1])
    redis.call('PEXPIRE', RECORD .. id, ARGV[2])
    redis.call('PEXPIRE', PAYLOAD .. id, ARGV[2])
    if marked then cancelled[#cancelled + 1] = id end
  else
    lost[#lost + 1] = id
  end
end
return {lost, cancelled}
"""

# Note how far an attempt is. ARGV id, token, packed progress → 1, or 0 where the attempt is no longer the job's own
PROGRESS: Final = """
local token, state = unpack(redis.call('HMGET', RECORD .. ARGV[1], 'token', 'state'))
if token ~= ARGV[2] or state ~= 'running' then return 0 end
redis.call('HSET', RECORD .. ARGV[1], 'progress', ARGV[3])
tell(ARGV[1])
return 1
"""

# End a job. KEYS queue  ARGV id, token, state, packed outcome, keep ms → 1, or 0 where the attempt was fenced off
FINISH: Final = """
local token, state = unpack(redis.call('HMGET', RECORD .. ARGV[1], 'token', 'state'))
if token ~= ARGV[2] or state ~= 'running' then return 0 end
conclude(ARGV[1], KEYS[1], ARGV[3], ARGV[4], tonumber(ARGV[5]))
return 1
"""

# Hand a job back to the front of its queue; an attempt that a drain cut short does not count as a try.
# KEYS queue, wake  ARGV id, token, '1' where the try counts → 1, or 0 where the attempt was fenced off
RELEASE: Final = """
local id = ARGV[1]
local token, state = unpack(redis.call('HMGET', RECORD .. id, 'token', 'state'))
if token ~= ARGV[2] or state ~= 'running' then return 0 end
redis.call('HSET', RECORD .. id, 'state', 'queued')
redis.call('HDEL', RECORD .. id, 'token', 'progress', 'started')
redis.call('DEL', LEASE .. id)
if ARGV[3] ~= '1' and redis.call('EXISTS', TRIES .. id) == 1 then redis.call('DECR', TRIES .. id) end
if redis.call('ZSCORE', KEYS[1], id) then redis.call('LPUSH', KEYS[2], id) end
tell(id)
return 1
"""

# Wake somebody for each due job that has neither lease nor living token: its worker was lost, it came from stock arq,
# or the list was. Tokens are pushed in order of age, so the first living one bounds the search.
# KEYS queue, wake, lock  ARGV lock ms, most ids → ids pushed, or -1 where another process sweeps
SWEEP: Final = """
if not redis.call('SET', KEYS[3], 1, 'NX', 'PX', ARGV[1]) then return -1 end
local newest = now()
local head = redis.call('LINDEX', KEYS[2], 0)
while head do
  local due = redis.call('ZSCORE', KEYS[1], head)
  if due and redis.call('EXISTS', LEASE .. head) == 0 then
    newest = '(' .. due
    break
  end
  redis.call('LPOP', KEYS[2])
  head = redis.call('LINDEX', KEYS[2], 0)
end
local lost, offset, page = {}, 0, nil
repeat
  page = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', newest, 'LIMIT', offset, 500)
  for _, id in ipairs(page) do
    if redis.call('EXISTS', LEASE .. id) == 0 then lost[#lost + 1] = id end
  end
  offset = offset + 500
until #page < 500 or offset >= tonumber(ARGV[2])
for i = #lost, 1, -1 do redis.call('LPUSH', KEYS[2], lost[i]) end
return #lost
"""
