--- @const ALL DEPTH

-- Count the ids in a principal's lines; a count of zero leaves nothing behind.
local function count(queue, principal, change)
  for _, who in ipairs({principal, ALL}) do
    if redis.call('HINCRBY', DEPTH .. queue, who, change) <= 0 then redis.call('HDEL', DEPTH .. queue, who) end
  end
end
