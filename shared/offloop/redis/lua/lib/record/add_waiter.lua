--- @const RECORD

-- Subscribe a front end to the changes of a job that has not ended.
local function add_waiter(id, front_end)
  if front_end == '' then return end
  local waiters = redis.call('HGET', RECORD .. id, 'waiters')
  if waiters and string.find(',' .. waiters .. ',', ',' .. front_end .. ',', 1, true) then return end
  redis.call('HSET', RECORD .. id, 'waiters', waiters and waiters .. ',' .. front_end or front_end)
end
