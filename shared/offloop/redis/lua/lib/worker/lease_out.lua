--- @include "lib/worker/owner_of"
--- @const HELD LEASE LEASES

-- Lease a job to the worker of a token, which is in the record as well.
local function lease_out(id, token, queue, time, lease, keep)
  redis.call('SET', LEASE .. id, token, 'PX', lease)
  redis.call('ZADD', LEASES .. queue, time + lease, id)
  redis.call('SADD', HELD .. owner_of(token), id)
  redis.call('PEXPIRE', HELD .. owner_of(token), keep)
end
