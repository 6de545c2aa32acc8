-- Requeue a job at the front of its subqueue; an attempt that a drain cut short does not count as an execution.
--
-- KEYS, ARGV as lib/worker/worker_args says; then id, token, '1' where it counts
-- Answer  {1, or 0 where the attempt was fenced off; rows as lib/worker/claim answers}

--- @include "lib/queue/requeue"
--- @include "lib/worker/claim_and_advertise"
--- @include "lib/worker/wake_worker"
--- @include "lib/worker/worker_args"
--- @const RECORD

local id, stored = ARGV[6], 0
local token, state, queue = unpack(redis.call('HMGET', RECORD .. id, 'token', 'state', 'queue'))
if token == ARGV[7] and state == 'running' then
  requeue(id, queue, ARGV[8] == '1')
  stored = 1
end
local claims = claim_and_advertise(worker_args())
if stored == 1 then wake_worker(queue) end
return {stored, claims}
