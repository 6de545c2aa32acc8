-- Begin an assigned job that may not be run again: from now on it counts as executed.
--
-- ARGV    id, token
-- Answer  1, or 0 where another attempt owns the job

--- @const RECORD

local token, state, assigned = unpack(redis.call('HMGET', RECORD .. ARGV[1], 'token', 'state', 'assigned'))
if token ~= ARGV[2] or state ~= 'running' then return 0 end
if assigned then
  redis.call('HDEL', RECORD .. ARGV[1], 'assigned')
  redis.call('HINCRBY', RECORD .. ARGV[1], 'tries', 1)
end
return 1
