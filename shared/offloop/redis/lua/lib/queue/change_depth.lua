--- @const ALL DEPTH

-- Count the jobs in a principal's subqueues; a count of zero is deleted.
local function change_depth(queue, principal, change)
  for _, field in ipairs({principal, ALL}) do
    if redis.call('HINCRBY', DEPTH .. queue, field, change) <= 0 then redis.call('HDEL', DEPTH .. queue, field) end
  end
end
