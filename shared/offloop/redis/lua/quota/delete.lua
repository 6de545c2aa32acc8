-- Delete records and count them out.
--
-- The job of a deleted artifact is no longer shared by equal input: its answer would lack the file. An idempotency key
-- still joins it, since a key starts one job only. An id without a record is not counted out: its file may be on the
-- way into the store, and would then not be counted.
--
-- KEYS    ids, sizes, each record
-- ARGV    principal, the id of each record
-- Answer  ids deleted

--- @include "lib/quota/uncount"
--- @const RECORD SAME_INPUT

local function unshare(job)
  local key = redis.call('HGET', RECORD .. job, 'key')
  if key and string.sub(key, 1, #SAME_INPUT) == SAME_INPUT and redis.call('GET', key) == job then
    redis.call('DEL', key)
  end
end

local deleted = {}
for i = 2, #ARGV do
  local owner, job = unpack(redis.call('HMGET', KEYS[i + 1], 'principal', 'job'))
  if owner == ARGV[1] then
    if job then unshare(job) end
    redis.call('DEL', KEYS[i + 1])
    uncount(ARGV[i])
    deleted[#deleted + 1] = ARGV[i]
  end
end
return deleted
