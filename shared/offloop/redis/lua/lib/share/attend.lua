--- @include "lib/delivery/enlist"
--- @include "lib/now"
--- @include "lib/record/snapshot"
--- @include "lib/record/wait"

-- Have a job that a submit has found told of, and answer it.
local function attend(answer, job, front_end, state)
  local id = answer[2]
  if job.notify then enlist(id, job.notify, state, now()) end
  if state == 'queued' or state == 'running' then wait(id, front_end) end
  return {answer[1], id, snapshot(id)}
end
