-- Mark a job as disclosed: its caller knows the id, so it runs however long it waits.
--
-- ARGV    id
-- Answer  1, or 0 where it had no deadline

--- @const RECORD

return redis.call('HDEL', RECORD .. ARGV[1], 'deadline')
