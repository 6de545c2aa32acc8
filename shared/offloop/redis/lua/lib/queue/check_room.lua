--- @const ALL DEPTH PACE

-- The answer 'busy' if a queue has no room for that many more jobs of a principal, or nil.
local function check_room(job, more)
  local mine, all = unpack(redis.call('HMGET', DEPTH .. job.queue, job.principal, ALL))
  mine, all = tonumber(mine or 0), tonumber(all or 0)
  local whose, waiting
  if all + more > job.max_queued then whose, waiting = 'queue', all
  elseif mine + more > job.max_queued_per_principal then whose, waiting = 'principal', mine
  else return end
  return {'busy', waiting, tonumber(redis.call('GET', PACE .. job.queue) or 0), whose}
end
