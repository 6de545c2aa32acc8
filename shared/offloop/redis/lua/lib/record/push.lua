--- @const INLINE_BYTES REPLY_CHANNEL

-- Push a snapshot of a job to every front end that waits for it; one that is too large is fetched instead.
local function push(id, waiters, shot)
  if shot[2] and #shot[2] > INLINE_BYTES then shot = {} end
  local message = cmsgpack.pack({id, shot})
  for front_end in string.gmatch(waiters, '[^,]+') do redis.call('PUBLISH', REPLY_CHANNEL .. front_end, message) end
end
