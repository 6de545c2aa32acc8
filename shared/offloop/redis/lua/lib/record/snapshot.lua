--- @include "lib/record/shown_fields"
--- @const RECORD RESULT

-- A job as everybody is shown it: the fields of `offloop.redis.schema.shown_fields`, and the outcome.
local function snapshot(id)
  return {redis.call('HMGET', RECORD .. id, unpack(shown_fields)), redis.call('GET', RESULT .. id)}
end
