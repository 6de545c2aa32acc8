-- Renew the leases of deliveries that are being sent.
--
-- ARGV    lease (ms), (id, attempt)…

--- @include "lib/now"
--- @const DELIVERY DESTINATION

local time = now()
for i = 2, #ARGV, 2 do
  local attempts, state, destination = unpack(
    redis.call('HMGET', DELIVERY .. ARGV[i], 'attempts', 'state', 'destination'))
  if attempts == ARGV[i + 1] and state == 'pending' then
    redis.call('HSET', DELIVERY .. ARGV[i], 'leased', time + ARGV[1])
    redis.call('ZADD', DESTINATION .. destination, 'XX', time + ARGV[1], ARGV[i])
  end
end
