--- @include "lib/now"
--- @include "lib/quota/uncount"
--- @const TOTAL

-- Artifacts and bytes of a principal, without those that have expired.
local function usage()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', ids, '-inf', now())) do uncount(id) end
  return redis.call('ZCARD', ids), tonumber(redis.call('HGET', sizes, TOTAL) or 0)
end
