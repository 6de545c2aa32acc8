--- @include "lib/delivery/crowded"
--- @include "lib/now"
--- @include "lib/record/list"
--- @include "lib/share/share"
--- @include "lib/share/shareable"
--- @const RECORD

-- Have a request share the job that its key names, or say why it may not; nil where there is none to share.
local function join(request, job)
  local other, _, batch = shareable(job.key, request, job.fresh)
  if not other then return end
  if redis.call('HGET', RECORD .. other, 'fingerprint') ~= job.fingerprint then return {'conflict', other} end
  if crowded(other, job.notify) then return {'crowded', other} end
  share(other, request, job.keep)
  if batch == 'item' then list(other, job, now()) end  -- a batch shows its items itself; who asks for one is told of it
  return {'joined', other}
end
