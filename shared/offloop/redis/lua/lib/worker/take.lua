--- @include "lib/ending/conclude"
--- @include "lib/ending/lose"
--- @include "lib/now"
--- @include "lib/queue/count"
--- @include "lib/record/read"
--- @include "lib/record/tell"
--- @include "lib/worker/lease_out"
--- @include "lib/worker/new_token"
--- @const PAYLOAD QUEUE RECORD ROTATION ROTATION_COUNTER SUBQUEUE

-- Take so many jobs of the lanes, in their order, and in each one principal after the other: a lease, a token and a
-- counted execution each. Jobs that have expired meanwhile are passed over; those whose caller left without knowing
-- them are ended.
-- → {{id, token, payload or '', executions counted, executions allowed, attempt, principal, kind, queue}…}
local function take(want, places)
  if places <= 0 or redis.call('EXISTS', unpack(KEYS)) == 0 then return {} end
  local terms, time, taken, passed = cmsgpack.unpack(want.terms), now(), {}, 0
  for _, place in ipairs(terms.lanes) do
    local queue, lane = place[1], place[1] .. ':' .. place[2]
    while #taken < places and passed < 1000 do
      local principal = redis.call('ZRANGE', ROTATION .. lane, 0, 0)[1]
      if not principal then break end
      local line = SUBQUEUE .. lane .. ':' .. principal
      local id = redis.call('LPOP', line)
      if id then
        count(queue, principal, -1)
        redis.call('ZREM', QUEUE .. queue, id)
      end
      if redis.call('LLEN', line) == 0 then
        redis.call('ZREM', ROTATION .. lane, principal)
      else
        redis.call('ZADD', ROTATION .. lane, redis.call('INCR', ROTATION_COUNTER), principal)
      end
      local state, deadline, ending, allowed, tries, attempt, kind, listened = unpack(redis.call('HMGET',
        RECORD .. (id or ''), 'state', 'deadline', 'cancel', 'allowed', 'tries', 'attempt', 'kind', 'listened'))
      if state ~= 'queued' then
        if id and not state then lose(id, queue, time) end
        passed = passed + 1
      elseif ending or (deadline and tonumber(deadline) < time) then
        conclude(id, read(id), 'cancelled', terms.abandoned, terms.retention)
        passed = passed + 1
      else
        allowed, tries, attempt = tonumber(allowed or 1), tonumber(tries or 0) + 1, tonumber(attempt)
        if tries <= allowed then attempt = attempt + 1 end  -- one too many is only taken to be ended
        local token = new_token(want.owner)
        lease_out(id, token, queue, time, terms.lease, want.keep)
        redis.call('HSET', RECORD .. id, 'state', 'running', 'started', time, 'token', token, 'tries', tries,
          'attempt', attempt)
        redis.call('PEXPIRE', RECORD .. id, want.keep)
        -- Who only waits, waits for the end, and reads again when tired of it.
        if listened then tell(id) end
        taken[#taken + 1] = {id, token, redis.call('GET', PAYLOAD .. id) or '', tries, allowed, attempt, principal,
          kind or '', queue}
      end
    end
  end
  return taken
end
