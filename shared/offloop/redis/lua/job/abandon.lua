-- Detach the request of a call that ended before it knew the id of its job.
--
-- ARGV    id, id of the request, packed outcome, keep (ms)
-- Answer  1 where that ends the job, 0 where other requests share it or it has ended before

--- @include "lib/ending/conclude"
--- @const RECORD

local state = redis.call('HGET', RECORD .. ARGV[1], 'state')
if state ~= 'queued' and state ~= 'running' then return 0 end
return detach(ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])) == 0 and 1 or 0
