-- Put a job back at the front of its subqueue; an attempt that a drain cut short does not count as an execution.
--
-- KEYS, ARGV as lib/worker/wanted says; then id, token, '1' where it counts
-- Answer  {1, or 0 where the attempt was fenced off; rows as lib/worker/take answers}

--- @include "lib/queue/requeue"
--- @include "lib/worker/fill"
--- @include "lib/worker/nudge"
--- @include "lib/worker/wanted"
--- @const RECORD

local id, stored = ARGV[6], 0
local token, state, queue = unpack(redis.call('HMGET', RECORD .. id, 'token', 'state', 'queue'))
if token == ARGV[7] and state == 'running' then
  requeue(id, queue, ARGV[8] == '1')
  stored = 1
end
local taken = fill(wanted())
if stored == 1 then nudge(queue) end
return {stored, taken}
