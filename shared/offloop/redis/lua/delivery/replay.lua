-- Send a delivery again, from the first step of its schedule; its URL is no longer marked as gone.
--
-- ARGV    id, principal
-- Answer  its state before, or 'sending'
-- Errors  nil: the principal has no such delivery

--- @include "lib/delivery/send_at"
--- @include "lib/now"
--- @const DELIVERY ENDPOINT_GONE

local key, time = DELIVERY .. ARGV[1], now()
local owner, state, destination, address, leased = unpack(
  redis.call('HMGET', key, 'principal', 'state', 'destination', 'address', 'leased'))
if owner ~= ARGV[2] then return nil end
if state == 'waiting' then return state end
if leased and tonumber(leased) > time then return 'sending' end
redis.call('DEL', ENDPOINT_GONE .. owner .. ':' .. address)
redis.call('HSET', key, 'step', 0)
send_at(ARGV[1], destination, time, time)
return state
