--- @include "lib/ending/conclude"
--- @include "lib/ending/expire"
--- @include "lib/now"
--- @include "lib/queue/dequeue"
--- @include "lib/record/push_current"
--- @include "lib/record/read"
--- @include "lib/worker/grant_lease"
--- @include "lib/worker/new_token"
--- @const PAYLOAD RECORD

-- Claim up to `slots` jobs of the lanes, in their order, and within a lane in the rotation of principals. Each claim
-- takes a lease and a token, and counts an execution. Expired jobs are skipped; abandoned ones are ended.
--
-- Answers rows. A row is a packed map: job_id, token, payload ('' where it has expired), references (a packed list;
-- missing where it is not known), tries (executions counted), allowed (executions), attempt, principal, kind, queue.
local function claim(worker, slots)
  if slots <= 0 or redis.call('EXISTS', unpack(KEYS)) == 0 then return {} end
  local terms, time, rows, passed = cmsgpack.unpack(worker.terms), now(), {}, 0
  for _, pair in ipairs(terms.lanes) do
    local queue, lane = pair[1], pair[1] .. ':' .. pair[2]
    while #rows < slots and passed < 1000 do
      local principal, id = dequeue(queue, lane)
      if not principal then break end
      local state, deadline, ending, allowed, tries, attempt, kind, notify_start, references = unpack(
        redis.call('HMGET', RECORD .. (id or ''), 'state', 'deadline', 'cancel', 'allowed', 'tries', 'attempt',
          'kind', 'notify_start', 'references'))
      if state ~= 'queued' then
        if id and not state then expire(id, queue, time) end
        passed = passed + 1
      elseif ending or (deadline and tonumber(deadline) < time) then
        conclude(id, read(id), 'cancelled', terms.abandoned, terms.retention)
        passed = passed + 1
      else
        allowed, tries, attempt = tonumber(allowed or 1), tonumber(tries or 0) + 1, tonumber(attempt)
        if tries <= allowed then attempt = attempt + 1 end  -- beyond that, the worker only fails it
        local token = new_token(worker.owner)
        grant_lease(id, token, queue, time, terms.lease, worker.keep)
        redis.call('HSET', RECORD .. id, 'state', 'running', 'started', time, 'token', token, 'tries', tries,
          'attempt', attempt)
        redis.call('PEXPIRE', RECORD .. id, worker.keep)
        if notify_start then push_current(id) end
        rows[#rows + 1] = cmsgpack.pack({job_id = id, token = token, payload = redis.call('GET', PAYLOAD .. id) or '',
          references = references or nil, tries = tries, allowed = allowed, attempt = attempt, principal = principal,
          kind = kind or '', queue = queue})
      end
    end
  end
  return rows
end
