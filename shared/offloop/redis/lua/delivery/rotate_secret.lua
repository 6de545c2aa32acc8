-- Give a principal a new secret; the earlier ones go on signing for a while.
--
-- ARGV    principal, secret, ms for which the earlier ones sign, ms for which secrets are kept unused
-- Answer  until when the earlier ones sign, as text, newest first

--- @include "lib/now"
--- @const SECRETS

local key, time = SECRETS .. ARGV[1], now()
for _, old in ipairs(redis.call('ZRANGEBYSCORE', key, '+inf', '+inf')) do
  if old ~= ARGV[2] then redis.call('ZADD', key, time + ARGV[3], old) end
end
if ARGV[3] == '0' then redis.call('DEL', key) end
redis.call('ZADD', key, '+inf', ARGV[2])
redis.call('ZREMRANGEBYSCORE', key, '-inf', time)
redis.call('ZREMRANGEBYRANK', key, 0, -6)  -- each signature is a header's worth of bytes: five at most
redis.call('PEXPIRE', key, ARGV[4])
local untils = {}
local found = redis.call('ZREVRANGE', key, 1, -1, 'WITHSCORES')
for i = 2, #found, 2 do untils[#untils + 1] = found[i] end
return untils
