-- Store the result of an attempt.
--
-- ARGV    id, attempt, result ('delivered', 'failed', 'disabled', 'retry', or 'again': it was cut short and does not
--         count), HTTP status or 0, error, ms until a retry, ms to keep a delivery that is over, packed event or '', ms
--         for which a URL that is gone is remembered
-- Answer  1, or 0 where another attempt owns the delivery

--- @include "lib/delivery/rank"
--- @include "lib/delivery/send_at"
--- @include "lib/now"
--- @const DELIVERY DESTINATION ENDPOINT_GONE

local id, verdict, time = ARGV[1], ARGV[3], now()
local key = DELIVERY .. id
local attempts, state, route, principal, address = unpack(
  redis.call('HMGET', key, 'attempts', 'state', 'route', 'principal', 'address'))
if attempts ~= ARGV[2] or state ~= 'pending' then return 0 end
if ARGV[8] ~= '' then redis.call('HSET', key, 'event', ARGV[8]) end
if verdict == 'again' then
  redis.call('HINCRBY', key, 'step', -1)
else
  redis.call('HSET', key, 'status', ARGV[4], 'error', ARGV[5])
end
if verdict == 'retry' or verdict == 'again' then
  send_at(id, route, time + ARGV[6], time)
  return 1
end
redis.call('HSET', key, 'state', verdict)
redis.call('HDEL', key, 'next', 'leased')
redis.call('PEXPIRE', key, ARGV[7])
redis.call('ZREM', DESTINATION .. route, id)
rank(route)
if verdict == 'disabled' then redis.call('SET', ENDPOINT_GONE .. principal .. ':' .. address, 1, 'PX', ARGV[9]) end
return 1
