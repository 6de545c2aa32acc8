--- @include "lib/record/push"
--- @include "lib/record/snapshot"
--- @const RECORD

-- Push a job as it is now.
local function push_current(id)
  local waiters = redis.call('HGET', RECORD .. id, 'waiters')
  if waiters then push(id, waiters, snapshot(id)) end
end
