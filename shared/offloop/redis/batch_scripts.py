"""The Lua of batches: how one is accepted as a whole, and what becomes of it when its items end.

A *batch* is a job without an execution: its record is there from the submit on, and its items, which are ordinary jobs,
move it. The record counts how each item ended, in the same call that ends the item, so nothing is counted twice or
never. One job may be an item of several batches, and stand for several places of one: what is shared is run once.

::

    running --the last item has ended--> completed   every item has ended by itself, and one at least succeeded
                                         failed      none succeeded, or one failed and was to stop the others
                                         cancelled   it was cancelled, and nothing of it runs any more

Kept beside the record: ``BATCH id`` the ids of all items in their order and the outcomes it may end with; for each job
that is an item ``PARENTS id`` the batches that wait for it, and for how many places each. The record of an item counts
(``held``) the open batches it belongs to: while there are any, it does not expire.
"""

from __future__ import annotations

from typing import Final

KEPT_MS: Final = 8 * 86_400_000
"""How long a batch that goes on is kept after each change, and its ended items with it."""

MAX_PARENTS: Final = 20
"""Batches that may wait for one job; the next gets a job of its own."""

TELL_MS: Final = 250
"""How often, at most, waiting callers are told how far a batch is."""

# `scripts.load` puts this behind everything that it uses.
LIBRARY: Final = f"""
-- A batch ends. Its items need no longer be kept for it.
local function close(batch, whole, ending)
  local outcome = whole[ending]
  if ending == 'completed' then
    local envelope = cmsgpack.unpack(outcome)
    for _, name in ipairs({{'total', 'succeeded', 'failed', 'cancelled'}}) do
      envelope.r.output[name] = tonumber(redis.call('HGET', RECORD .. batch, name))
    end
    outcome = cmsgpack.pack(envelope)
  end
  conclude(batch, read(batch), ending == 'stopped' and 'failed' or ending, outcome, whole.retention)
  redis.call('PEXPIRE', BATCH .. batch, whole.retention)
  local seen = {{}}
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
  redis.call('HSET', key, 'progress', cmsgpack.pack({{done, tonumber(total), message}}))
  if done >= tonumber(total) then
    local verdict = 'completed'
    if succeeded == total then verdict = 'completed'
    elseif ending or cancelled == total then verdict = 'cancelled'
    elseif stopped then verdict = 'stopped'
    elseif tonumber(succeeded) == 0 then verdict = 'failed' end
    return close(batch, cmsgpack.unpack(redis.call('GET', BATCH .. batch)), verdict)
  end
  redis.call('PEXPIRE', key, BATCHES_KEPT)
  redis.call('PEXPIRE', BATCH .. batch, BATCHES_KEPT)
  if state == 'failed' and stop then halt(batch, 'stopped') end
  if time - tonumber(told or 0) >= {TELL_MS} then
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
"""

# Accept a batch with all its items, or nothing of it; or join the one its key names already.
# ARGV id, front end ('' when nobody waits), and two maps. The batch: what `offloop.redis.scripts.SUBMIT` wants, but for
#      patience; stop ('1' where the first failure ends it, else ''), and whole: retention (ms) and the packed outcomes
#      completed (its output to be filled in), failed, stopped, cancelled. The items: each (what they have in common:
#      kind, allowed, keep, level), jobs {{id, payload, key, fingerprint}…}, fresh, places {number of the job…}
# → as SUBMIT
SUBMIT_BATCH: Final = f"""
local id, batch, items = ARGV[1], cmsgpack.unpack(ARGV[3]), cmsgpack.unpack(ARGV[4])
local declined = batch.notify and unwelcome(batch.notify)
if declined then return declined end
local answer = join(id, batch) or {{'new', id}}
if answer[1] == 'conflict' or answer[1] == 'crowded' then return answer end
local known = redis.call('HGET', RECORD .. answer[2], 'state')
if known then return attend(answer, batch, ARGV[2], known) end

local ids, states, new, places = {{}}, {{}}, 0, {{}}
for number, job in ipairs(items.jobs) do
  local other, state = shareable(job[3], job[1], items.fresh)
  if other and redis.call('HLEN', PARENTS .. other) >= {MAX_PARENTS} then other, job[3] = nil, '' end
  ids[number], states[number] = other or job[1], state
  if not other then states[number], new = false, new + 1 end
end
local busy = full(batch, new)
if busy then return busy end

local time = now()
local record = draft(batch, time, 'running')
record.attempt, record.started, record.batch, record.total = 1, time, 'whole', #items.places
record.succeeded, record.failed, record.cancelled = 0, 0, 0
if batch.stop ~= '' then record.stop = 1 end
store(id, record, batch)
list(id, batch, time)
redis.call('PEXPIRE', RECORD .. id, BATCHES_KEPT)
batch.whole.items = {{}}
for place, number in ipairs(items.places) do
  batch.whole.items[place] = ids[number]
  places[number] = (places[number] or 0) + 1
end
redis.call('SET', BATCH .. id, cmsgpack.pack(batch.whole), 'PX', BATCHES_KEPT)

local each = items.each
each.principal, each.queue = batch.principal, batch.queue
for number, job in ipairs(items.jobs) do
  local item, state = ids[number], states[number]
  if not state then
    each.key, each.fingerprint = job[3], job[4]
    if not hand(item, job[2], each, time) then queue_up(item, job[2], each, time) end
  end
  redis.call('HSET', RECORD .. item, 'batch', 'item')
  redis.call('HINCRBY', RECORD .. item, 'held', 1)
  if state == 'completed' then
    redis.call('PEXPIRE', RECORD .. item, BATCHES_KEPT)
    redis.call('PEXPIRE', RESULT .. item, BATCHES_KEPT)
  else
    if state then share(item, id, batch.keep) end
    redis.call('HSET', PARENTS .. item, id, places[number])
    redis.call('PEXPIRE', PARENTS .. item, BATCHES_KEPT)
  end
end
for number, state in ipairs(states) do
  if state == 'completed' then tally(id, state, places[number]) end
end
return attend(answer, batch, ARGV[2], redis.call('HGET', RECORD .. id, 'state'))
"""
