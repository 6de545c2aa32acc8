--- @include "lib/worker/owner_of"
--- @const HELD LEASE LEASES

-- Lease a job to the worker that owns the token; the record has the same token.
local function grant_lease(id, token, queue, time, lease, keep)
  redis.call('SET', LEASE .. id, token, 'PX', lease)
  redis.call('ZADD', LEASES .. queue, time + lease, id)
  redis.call('SADD', HELD .. owner_of(token), id)
  redis.call('PEXPIRE', HELD .. owner_of(token), keep)
end
