-- The record of a new job.
local function new_record(job, time, state)
  return {principal = job.principal, kind = job.kind, queue = job.queue, level = job.level, state = state, attempt = 0,
    tries = 0, created = time, expires = time + job.keep, allowed = job.allowed, key = job.key ~= '' and job.key or nil,
    fingerprint = job.key ~= '' and job.fingerprint or nil, waiters = job.waiters,
    references = job.references, deadline = job.patience and time + job.patience}
end
