--- @include "lib/queue/line_up"
--- @include "lib/record/tell"
--- @include "lib/worker/owner_of"
--- @const HELD LEASE LEASES RECORD

-- Send a running job back to the front of its line; an execution that does not count is taken off again.
local function requeue(id, queue, counts)
  local level, principal, token, tries = unpack(
    redis.call('HMGET', RECORD .. id, 'level', 'principal', 'token', 'tries'))
  redis.call('HSET', RECORD .. id, 'state', 'queued')
  if not counts and tonumber(tries or 0) > 0 then redis.call('HINCRBY', RECORD .. id, 'tries', -1) end
  redis.call('HDEL', RECORD .. id, 'token', 'progress', 'started', 'handed')
  if token then redis.call('SREM', HELD .. owner_of(token), id) end
  redis.call('DEL', LEASE .. id)
  redis.call('ZREM', LEASES .. queue, id)
  line_up(id, queue, level, principal, 'LPUSH')
  tell(id)
end
