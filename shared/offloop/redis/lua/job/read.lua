-- Read a job and, while it goes on, subscribe a front end to its changes.
--
-- ARGV    id, principal, front end ('' only reads), '1' to be notified of its start as well
-- Answer  snapshot
-- Errors  nil: the principal has no such job

--- @include "lib/record/add_waiter"
--- @include "lib/record/snapshot"
--- @const RECORD

local id = ARGV[1]
local owner, state = unpack(redis.call('HMGET', RECORD .. id, 'principal', 'state'))
if owner ~= ARGV[2] then return nil end
if state == 'queued' and ARGV[4] == '1' then redis.call('HSET', RECORD .. id, 'notify_start', 1) end
if state == 'queued' or state == 'running' then add_waiter(id, ARGV[3]) end
return snapshot(id)
