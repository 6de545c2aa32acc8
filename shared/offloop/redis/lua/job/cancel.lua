-- Cancel a job for one of its requests.
--
-- ARGV    id, principal, id of this request, packed outcome, keep (ms)
-- Answer  {snapshot, requests that still share it}
-- Errors  nil: the principal has no such job

--- @include "lib/ending/conclude"
--- @include "lib/record/snapshot"
--- @const RECORD

if redis.call('HGET', RECORD .. ARGV[1], 'principal') ~= ARGV[2] then return nil end
local left = detach(ARGV[1], ARGV[3], ARGV[4], tonumber(ARGV[5]))
return {snapshot(ARGV[1]), left}
