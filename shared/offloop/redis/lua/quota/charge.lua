-- Count artifacts in, all or none.
--
-- Idempotent. The size of a known id only grows: of two uploads to one id, the larger one counts, whichever is kept.
--
-- KEYS    ids, sizes, perhaps a record that must be there
-- ARGV    expires (ms), most artifacts, most bytes, (id, size)…
-- Answer  {'charged', artifacts, bytes, end of the last (ms)}
-- Errors  {'artifacts' | 'bytes', artifacts, bytes, end of the first (ms)}: over that quota; {'gone', 0, 0, '0'}: no
--         record

--- @include "lib/quota/usage"
--- @const TOTAL

if KEYS[3] and redis.call('EXISTS', KEYS[3]) == 0 then return {'gone', 0, 0, '0'} end
local expires, max_artifacts, max_bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local artifacts, bytes = usage()
local added, more = 0, 0
for i = 4, #ARGV, 2 do
  local old = redis.call('HGET', sizes, ARGV[i])
  if not old then added = added + 1 end
  more = more + math.max(0, ARGV[i + 1] - (old or 0))
end
if artifacts + added > max_artifacts or (more > 0 and bytes + more > max_bytes) then
  local oldest = redis.call('ZRANGE', ids, 0, 0, 'WITHSCORES')
  return {artifacts + added > max_artifacts and 'artifacts' or 'bytes', artifacts, bytes, oldest[2] or '0'}
end
for i = 4, #ARGV, 2 do
  local old = redis.call('HGET', sizes, ARGV[i])
  if not old or ARGV[i + 1] - old > 0 then redis.call('HSET', sizes, ARGV[i], ARGV[i + 1]) end
  redis.call('ZADD', ids, 'GT', expires, ARGV[i])
end
redis.call('HINCRBY', sizes, TOTAL, more)
local last = redis.call('ZRANGE', ids, -1, -1, 'WITHSCORES')[2]
redis.call('PEXPIREAT', ids, last)
redis.call('PEXPIREAT', sizes, last)
return {'charged', artifacts + added, bytes + more, last}
