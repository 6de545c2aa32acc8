-- Accept a batch with all its items, or nothing of it; or join the one that its key names.
--
-- ARGV    id, front end ('' where no call waits), and two maps.
--         The batch: as for job/submit, without patience; stop ('1' where the first failure ends it, else ''), and
--         whole: retention (ms) and the packed outcomes completed (its output to be filled in), failed, stopped,
--         cancelled.
--         The items: each (common fields: kind, allowed, keep, level), jobs {{id, payload, key, fingerprint,
--         references}…}, fresh, indices {number of the job…}
-- Answer, Errors as of job/submit

--- @include "lib/delivery/refuse"
--- @include "lib/ending/conclude"
--- @include "lib/now"
--- @include "lib/queue/check_room"
--- @include "lib/queue/store_queued"
--- @include "lib/record/add_to_index"
--- @include "lib/record/new_record"
--- @include "lib/record/store_record"
--- @include "lib/share/join"
--- @include "lib/share/share"
--- @include "lib/share/shareable"
--- @include "lib/share/subscribe"
--- @include "lib/worker/assign"
--- @const BATCH BATCH_KEPT_MS MAX_BATCHES_PER_ITEM PARENTS RECORD RESULT

local id, batch, items = ARGV[1], cmsgpack.unpack(ARGV[3]), cmsgpack.unpack(ARGV[4])
local declined = batch.notify and refuse(batch.notify)
if declined then return declined end
local answer = join(id, batch) or {'new', id}
if answer[1] == 'conflict' or answer[1] == 'too-many-urls' then return answer end
local known = redis.call('HGET', RECORD .. answer[2], 'state')
if known then return subscribe(answer, batch, ARGV[2], known) end

local ids, states, new, indices = {}, {}, 0, {}
for number, job in ipairs(items.jobs) do
  local other, state = shareable(job[3], job[1], items.fresh)
  if other and redis.call('HLEN', PARENTS .. other) >= MAX_BATCHES_PER_ITEM then other, job[3] = nil, '' end
  ids[number], states[number] = other or job[1], state
  if not other then states[number], new = false, new + 1 end
end
local busy = check_room(batch, new)
if busy then return busy end

local time = now()
local record = new_record(batch, time, 'running')
record.attempt, record.started, record.batch, record.total = 1, time, 'whole', #items.indices
record.succeeded, record.failed, record.cancelled = 0, 0, 0
if batch.stop ~= '' then record.stop = 1 end
store_record(id, record, batch)
add_to_index(id, batch, time)
redis.call('PEXPIRE', RECORD .. id, BATCH_KEPT_MS)
batch.whole.items = {}
for index, number in ipairs(items.indices) do
  batch.whole.items[index] = ids[number]
  indices[number] = (indices[number] or 0) + 1
end
redis.call('SET', BATCH .. id, cmsgpack.pack(batch.whole), 'PX', BATCH_KEPT_MS)

local each = items.each
each.principal, each.queue = batch.principal, batch.queue
for number, job in ipairs(items.jobs) do
  local item, state = ids[number], states[number]
  if not state then
    each.key, each.fingerprint, each.references = job[3], job[4], job[5]
    if not assign(item, job[2], each, time) then store_queued(item, job[2], each, time) end
  end
  redis.call('HSET', RECORD .. item, 'batch', 'item')
  redis.call('HINCRBY', RECORD .. item, 'held', 1)
  if state == 'completed' then
    redis.call('PEXPIRE', RECORD .. item, BATCH_KEPT_MS)
    redis.call('PEXPIRE', RESULT .. item, BATCH_KEPT_MS)
  else
    if state then share(item, id, batch.keep) end
    redis.call('HSET', PARENTS .. item, id, indices[number])
    redis.call('PEXPIRE', PARENTS .. item, BATCH_KEPT_MS)
  end
end
for number, state in ipairs(states) do
  if state == 'completed' then count_item(id, state, indices[number]) end
end
return subscribe(answer, batch, ARGV[2], redis.call('HGET', RECORD .. id, 'state'))
