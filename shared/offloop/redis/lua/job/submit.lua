-- Accept a job, or join the one that its key names; a failed or cancelled one is not joined.
--
-- ARGV    id, payload, front end ('' where no call waits), and a map: principal, kind, queue, level, key ('' for none),
--         index, fingerprint, references (packed list of artifacts and URLs that the input names), fresh (ms a
--         completed job must still be kept to be joined), max_queued, max_queued_per_principal, keep (ms), allowed
--         (executions), patience (ms after which a job that is still queued and was not disclosed is dropped; may be
--         missing), notify (a subscription to its end, see `offloop.queue.subscription`; may be missing)
-- Answer  {'new' | 'joined', id, snapshot}
-- Errors  {'conflict', id}, {'busy', jobs waiting, ms a job takes, 'queue' | 'principal'}; because of the subscription
--         {'endpoint-gone'}, {'backlog', deliveries waiting} or {'too-many-urls', id}

--- @include "lib/delivery/add_delivery"
--- @include "lib/delivery/refuse"
--- @include "lib/now"
--- @include "lib/queue/check_room"
--- @include "lib/queue/store_queued"
--- @include "lib/record/add_to_index"
--- @include "lib/record/snapshot_of"
--- @include "lib/share/join"
--- @include "lib/share/subscribe"
--- @include "lib/worker/assign"
--- @const RECORD

local id, payload, front_end, job = ARGV[1], ARGV[2], ARGV[3], cmsgpack.unpack(ARGV[4])
local declined = job.notify and refuse(job.notify)
if declined then return declined end
local answer = join(id, job) or {'new', id}
if answer[1] == 'conflict' or answer[1] == 'too-many-urls' then return answer end
local known = redis.call('HGET', RECORD .. answer[2], 'state')
if known then return subscribe(answer, job, front_end, known) end
local time = now()
job.waiters = front_end ~= '' and front_end or nil
local record = assign(id, payload, job, time)
if not record then
  local busy = check_room(job, 1)
  if busy then return busy end
  record = store_queued(id, payload, job, time)
end
add_to_index(id, job, time)
if job.notify then add_delivery(id, job.notify, record.state, time) end
return {'new', id, snapshot_of(record, false)}
