local ids, sizes = KEYS[1], KEYS[2]

local function drop(id)
  local size = redis.call('HGET', sizes, id)
  if size then
    redis.call('HINCRBY', sizes, '*', -size)
    redis.call('HDEL', sizes, id)
  end
  redis.call('ZREM', ids, id)
end

local t = redis.call('TIME')
local gone = redis.call('ZRANGEBYSCORE', ids, '-inf', t[1] * 1000 + math.floor(t[2] / 1000))
for _, id in ipairs(gone) do drop(id) end
local count, bytes = redis.call('ZCARD', ids), tonumber(redis.call('HGET', sizes, '*') or 0)
