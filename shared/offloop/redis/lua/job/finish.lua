-- End a job; its worker claims the next one, or advertises the slot.
--
-- KEYS, ARGV as lib/worker/worker_args says; then id, token, state, packed outcome, keep (ms)
-- Answer  {1, or 0 where the attempt was fenced off; rows as lib/worker/claim answers}

--- @include "lib/ending/conclude"
--- @include "lib/record/read"
--- @include "lib/worker/claim_and_advertise"
--- @include "lib/worker/worker_args"

local id, record, stored = ARGV[6], read(ARGV[6]), 0
if record.token == ARGV[7] and record.state == 'running' then
  conclude(id, record, ARGV[8], ARGV[9], tonumber(ARGV[10]))
  stored = 1
end
return {stored, claim_and_advertise(worker_args())}
