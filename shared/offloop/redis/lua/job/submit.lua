-- Accept a job, or join the one that its key names; a failed or cancelled one is not joined.
--
-- ARGV    id, payload, front end ('' where no call waits), and a map: principal, kind, queue, level, key ('' for none),
--         index, fingerprint, fresh (ms a completed job must still be kept to be joined), max_queued,
--         max_queued_per_principal, keep (ms), allowed (executions), patience (ms after which a job that is still
--         queued and was not disclosed is dropped; may be missing), notify (a subscription to its end, see
--         `offloop.queue.subscription`; may be missing)
-- Answer  {'new' | 'joined', id, snapshot}
-- Errors  {'conflict', id}, {'busy', jobs waiting, ms a job takes, 'queue' | 'principal'}; because of the subscription
--         {'endpoint-gone'}, {'backlog', deliveries waiting} or {'crowded', id}

--- @include "lib/delivery/enlist"
--- @include "lib/delivery/unwelcome"
--- @include "lib/now"
--- @include "lib/queue/full"
--- @include "lib/queue/queue_up"
--- @include "lib/record/list"
--- @include "lib/record/shown"
--- @include "lib/share/attend"
--- @include "lib/share/join"
--- @include "lib/worker/hand"
--- @const RECORD

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
