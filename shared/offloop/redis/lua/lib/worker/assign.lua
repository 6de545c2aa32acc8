--- @include "lib/record/new_record"
--- @include "lib/record/store_record"
--- @include "lib/worker/freest_worker"
--- @include "lib/worker/grant_lease"
--- @include "lib/worker/new_token"
--- @const CONTROL_CHANNEL FREE_SLOTS INLINE_BYTES LEASE_MS PAYLOAD

-- Assign a new job to the worker with the most free slots. Answers its record, or nil where no worker has one.
-- The message has a row as lib/worker/claim answers it, without payload and references where the payload is long.
-- A job that may be run again counts as executed from now on; any other once its worker begins it.
local function assign(id, payload, job, time)
  local owner, pool = freest_worker(job.queue)
  if not owner then return end
  local token = new_token(owner)
  local record = new_record(job, time, 'running')
  record.attempt, record.tries, record.started, record.token = 1, job.allowed > 1 and 1 or 0, time, token
  record.assigned = 1
  redis.call('SET', PAYLOAD .. id, payload, 'PX', job.keep)
  store_record(id, record, job)
  grant_lease(id, token, job.queue, time, LEASE_MS, job.keep)
  local row = {job_id = id, token = token, tries = 1, allowed = job.allowed, attempt = 1, principal = job.principal,
    kind = job.kind, queue = job.queue}
  if #payload <= INLINE_BYTES then row.payload, row.references = payload, job.references end
  redis.call('PUBLISH', CONTROL_CHANNEL .. owner, cmsgpack.pack({'run', cmsgpack.pack(row)}))
  if tonumber(redis.call('ZINCRBY', FREE_SLOTS .. pool, -1, owner)) <= 0 then
    redis.call('ZREM', FREE_SLOTS .. pool, owner)
  end
  return record
end
