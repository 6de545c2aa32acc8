--- @const TOTAL

-- KEYS of every script of quotas: ids by expiry, and their sizes with the sum of all.
local ids, sizes = KEYS[1], KEYS[2]

-- Count an artifact out.
local function uncount(id)
  local size = redis.call('HGET', sizes, id)
  if size then
    redis.call('HINCRBY', sizes, TOTAL, -size)
    redis.call('HDEL', sizes, id)
  end
  redis.call('ZREM', ids, id)
end
