-- Put a request into a set. Sets, not counters, say who joined and who gave up: what is sent twice counts once.
local function note(set, request, keep)
  redis.call('SADD', set, request)
  redis.call('PEXPIRE', set, keep)
end
