--- @include "lib/delivery/too_many_urls"
--- @include "lib/now"
--- @include "lib/record/add_to_index"
--- @include "lib/share/share"
--- @include "lib/share/shareable"
--- @const RECORD

-- Share the job that a request's key names, or answer why that may not be; nil where there is none to share.
local function join(request, job)
  local other, _, batch = shareable(job.key, request, job.fresh)
  if not other then return end
  if redis.call('HGET', RECORD .. other, 'fingerprint') ~= job.fingerprint then return {'conflict', other} end
  if too_many_urls(other, job.notify) then return {'too-many-urls', other} end
  share(other, request, job.keep)
  if batch == 'item' then add_to_index(other, job, now()) end  -- until now only the batch's page showed it
  return {'joined', other}
end
