-- Note that the caller knows the id: from now on the job is run however long it waits.
--
-- ARGV    id
-- Answer  1, or 0 where it had no deadline

--- @const RECORD

return redis.call('HDEL', RECORD .. ARGV[1], 'deadline')
