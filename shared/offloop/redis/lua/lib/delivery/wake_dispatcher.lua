--- @const CONTROL_CHANNEL DISPATCHERS

-- Wake a worker with an idle webhook dispatcher. Its next claim adds it to the set again, so the next call wakes
-- another.
local function wake_dispatcher()
  local owner = redis.call('SPOP', DISPATCHERS)
  while owner and redis.call('PUBLISH', CONTROL_CHANNEL .. owner, cmsgpack.pack({'deliver'})) == 0 do
    owner = redis.call('SPOP', DISPATCHERS)  -- the worker has died
  end
end
