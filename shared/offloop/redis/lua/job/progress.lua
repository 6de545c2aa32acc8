-- Store the progress of an attempt.
--
-- ARGV    id, token, packed progress
-- Answer  1, or 0 where another attempt owns the job

--- @include "lib/record/push_current"
--- @const RECORD

local token, state = unpack(redis.call('HMGET', RECORD .. ARGV[1], 'token', 'state'))
if token ~= ARGV[2] or state ~= 'running' then return 0 end
redis.call('HSET', RECORD .. ARGV[1], 'progress', ARGV[3])
push_current(ARGV[1])
return 1
