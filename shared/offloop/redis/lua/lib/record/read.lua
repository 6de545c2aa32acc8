--- @const RECORD

-- A whole record by its fields.
local function read(id)
  local flat, record = redis.call('HGETALL', RECORD .. id), {}
  for i = 1, #flat, 2 do record[flat[i]] = flat[i + 1] end
  return record
end
