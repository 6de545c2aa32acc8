--- @include "lib/share/add_request"
--- @const JOINED RECORD

-- Count a request among those that share a job.
local function share(id, request, keep)
  add_request(JOINED .. id, request, keep)
  redis.call('HDEL', RECORD .. id, 'deadline')
end
