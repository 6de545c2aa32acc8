-- The secrets of a principal, newest first; the one given becomes the first where there is none.
--
-- ARGV    principal, secret, ms for which secrets are kept unused
-- Answer  secrets

--- @include "lib/now"
--- @const SECRETS

local key, time = SECRETS .. ARGV[1], now()
if redis.call('ZCOUNT', key, '+inf', '+inf') == 0 then redis.call('ZADD', key, '+inf', ARGV[2]) end
redis.call('PEXPIRE', key, ARGV[3])
return redis.call('ZREVRANGEBYSCORE', key, '+inf', '(' .. time)
