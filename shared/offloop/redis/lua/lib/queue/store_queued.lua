--- @include "lib/queue/enqueue"
--- @include "lib/record/new_record"
--- @include "lib/record/store_record"
--- @const PAYLOAD

-- Store a new job, queued. Answers its record.
local function store_queued(id, payload, job, time)
  local record = new_record(job, time, 'queued')
  redis.call('SET', PAYLOAD .. id, payload, 'PX', job.keep)
  store_record(id, record, job)
  enqueue(id, job.queue, job.level, job.principal, 'RPUSH')
  return record
end
