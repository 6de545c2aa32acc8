-- Add a request to a set. Sets, not counters, hold the requests that joined and detached: one sent twice counts once.
local function add_request(set, request, keep)
  redis.call('SADD', set, request)
  redis.call('PEXPIRE', set, keep)
end
