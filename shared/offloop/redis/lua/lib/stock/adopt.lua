--- @const RECORD STOCK

-- Give a job that stock arq enqueued a record. Its id stays in arq's queue until it ends.
local function adopt(id, queue, time, keep)
  redis.call('DEL', RECORD .. id)  -- of an earlier job with this id, which has ended
  redis.call('HSET', RECORD .. id, 'principal', '', 'kind', '', 'queue', queue, 'level', 'batch', 'state', 'queued',
    'attempt', 0, 'tries', 0, 'created', time, 'expires', time + keep, 'allowed', 1)
  redis.call('PEXPIRE', RECORD .. id, keep)
  redis.call('SADD', STOCK .. queue, id)
end
