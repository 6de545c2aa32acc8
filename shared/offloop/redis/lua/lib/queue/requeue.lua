--- @include "lib/queue/enqueue"
--- @include "lib/record/push_current"
--- @include "lib/worker/owner_of"
--- @const HELD LEASE LEASES RECORD

-- Put a running job back at the front of its subqueue; an execution that does not count is taken off again.
local function requeue(id, queue, counts)
  local level, principal, token, tries = unpack(
    redis.call('HMGET', RECORD .. id, 'level', 'principal', 'token', 'tries'))
  redis.call('HSET', RECORD .. id, 'state', 'queued')
  if not counts and tonumber(tries or 0) > 0 then redis.call('HINCRBY', RECORD .. id, 'tries', -1) end
  redis.call('HDEL', RECORD .. id, 'token', 'progress', 'started', 'assigned')
  if token then redis.call('SREM', HELD .. owner_of(token), id) end
  redis.call('DEL', LEASE .. id)
  redis.call('ZREM', LEASES .. queue, id)
  enqueue(id, queue, level, principal, 'LPUSH')
  push_current(id)
end
