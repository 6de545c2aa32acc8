--- @include "lib/queue/line_up"
--- @include "lib/record/draft"
--- @include "lib/record/store"
--- @const PAYLOAD

-- Let a new job wait in its line. Answers its record.
local function queue_up(id, payload, job, time)
  local record = draft(job, time, 'queued')
  redis.call('SET', PAYLOAD .. id, payload, 'PX', job.keep)
  store(id, record, job)
  line_up(id, job.queue, job.level, job.principal, 'RPUSH')
  return record
end
