--- @include "lib/share/note"
--- @const JOINED RECORD

-- Note that a request shares a job.
local function share(id, request, keep)
  note(JOINED .. id, request, keep)
  redis.call('HDEL', RECORD .. id, 'deadline')
end
