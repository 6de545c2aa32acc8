--- @include "lib/record/snapshot_fields"
--- @const RECORD RESULT

-- Snapshot of a job: the fields of `offloop.redis.schema.SNAPSHOT_FIELDS`, and the outcome.
local function snapshot(id)
  return {redis.call('HMGET', RECORD .. id, unpack(snapshot_fields)), redis.call('GET', RESULT .. id)}
end
