--- @include "lib/delivery/add_delivery"
--- @include "lib/now"
--- @include "lib/record/add_waiter"
--- @include "lib/record/snapshot"

-- Subscribe a submit to the job that it has found, and answer that.
local function subscribe(answer, job, front_end, state)
  local id = answer[2]
  if job.notify then add_delivery(id, job.notify, state, now()) end
  if state == 'queued' or state == 'running' then add_waiter(id, front_end) end
  return {answer[1], id, snapshot(id)}
end
