-- Store the result of an attempt.
--
-- ARGV    id, attempt, result ('delivered', 'failed', 'disabled', 'retry', or 'again': it was cut short and does not
--         count), HTTP status or 0, error, ms until a retry, ms to keep a delivery that is over, packed event or '', ms
--         for which a URL that is gone is remembered
-- Answer  1, or 0 where another attempt owns the delivery

--- @include "lib/delivery/reschedule"
--- @include "lib/delivery/send_at"
--- @include "lib/now"
--- @const DELIVERY DESTINATION ENDPOINT_GONE

local id, result, time = ARGV[1], ARGV[3], now()
local key = DELIVERY .. id
local attempts, state, destination, principal, address = unpack(
  redis.call('HMGET', key, 'attempts', 'state', 'destination', 'principal', 'address'))
if attempts ~= ARGV[2] or state ~= 'pending' then return 0 end
if ARGV[8] ~= '' then redis.call('HSET', key, 'event', ARGV[8]) end
if result == 'again' then
  redis.call('HINCRBY', key, 'step', -1)
else
  redis.call('HSET', key, 'status', ARGV[4], 'error', ARGV[5])
end
if result == 'retry' or result == 'again' then
  send_at(id, destination, time + ARGV[6], time)
  return 1
end
redis.call('HSET', key, 'state', result)
redis.call('HDEL', key, 'next', 'leased')
redis.call('PEXPIRE', key, ARGV[7])
redis.call('ZREM', DESTINATION .. destination, id)
reschedule(destination)
if result == 'disabled' then redis.call('SET', ENDPOINT_GONE .. principal .. ':' .. address, 1, 'PX', ARGV[9]) end
return 1
