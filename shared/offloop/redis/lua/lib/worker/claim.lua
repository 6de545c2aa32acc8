--- @include "lib/ending/conclude"
--- @include "lib/ending/expire"
--- @include "lib/now"
--- @include "lib/queue/change_depth"
--- @include "lib/record/push_current"
--- @include "lib/record/read"
--- @include "lib/worker/lease_out"
--- @include "lib/worker/new_token"
--- @const PAYLOAD QUEUE RECORD ROTATION ROTATION_COUNTER SUBQUEUE

-- Claim up to `slots` jobs of the lanes, in their order, and in each one principal after the other: a lease, a token
-- and a counted execution each. Jobs that have expired are passed over; those whose caller left without knowing their
-- id are ended. → {{id, token, payload or '', executions counted, executions allowed, attempt, principal, kind,
-- queue}…}
local function claim(worker, slots)
  if slots <= 0 or redis.call('EXISTS', unpack(KEYS)) == 0 then return {} end
  local terms, time, claimed, passed = cmsgpack.unpack(worker.terms), now(), {}, 0
  for _, pair in ipairs(terms.lanes) do
    local queue, lane = pair[1], pair[1] .. ':' .. pair[2]
    while #claimed < slots and passed < 1000 do
      local principal = redis.call('ZRANGE', ROTATION .. lane, 0, 0)[1]
      if not principal then break end
      local subqueue = SUBQUEUE .. lane .. ':' .. principal
      local id = redis.call('LPOP', subqueue)
      if id then
        change_depth(queue, principal, -1)
        redis.call('ZREM', QUEUE .. queue, id)
      end
      if redis.call('LLEN', subqueue) == 0 then
        redis.call('ZREM', ROTATION .. lane, principal)
      else
        redis.call('ZADD', ROTATION .. lane, redis.call('INCR', ROTATION_COUNTER), principal)
      end
      local state, deadline, ending, allowed, tries, attempt, kind, notify_start = unpack(redis.call('HMGET',
        RECORD .. (id or ''), 'state', 'deadline', 'cancel', 'allowed', 'tries', 'attempt', 'kind', 'notify_start'))
      if state ~= 'queued' then
        if id and not state then expire(id, queue, time) end
        passed = passed + 1
      elseif ending or (deadline and tonumber(deadline) < time) then
        conclude(id, read(id), 'cancelled', terms.abandoned, terms.retention)
        passed = passed + 1
      else
        allowed, tries, attempt = tonumber(allowed or 1), tonumber(tries or 0) + 1, tonumber(attempt)
        if tries <= allowed then attempt = attempt + 1 end  -- one too many is only claimed to be ended
        local token = new_token(worker.owner)
        lease_out(id, token, queue, time, terms.lease, worker.keep)
        redis.call('HSET', RECORD .. id, 'state', 'running', 'started', time, 'token', token, 'tries', tries,
          'attempt', attempt)
        redis.call('PEXPIRE', RECORD .. id, worker.keep)
        if notify_start then push_current(id) end
        claimed[#claimed + 1] = {id, token, redis.call('GET', PAYLOAD .. id) or '', tries, allowed, attempt, principal,
          kind or '', queue}
      end
    end
  end
  return claimed
end
