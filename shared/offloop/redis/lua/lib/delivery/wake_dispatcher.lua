--- @const CONTROL_CHANNEL DISPATCHERS

-- Wake a worker whose webhook dispatcher waits. Its next claim adds it to the set again, so the next call wakes
-- another one.
local function wake_dispatcher()
  local owner = redis.call('SPOP', DISPATCHERS)
  while owner and redis.call('PUBLISH', CONTROL_CHANNEL .. owner, cmsgpack.pack({'deliver'})) == 0 do
    owner = redis.call('SPOP', DISPATCHERS)  -- the one before is gone
  end
end
