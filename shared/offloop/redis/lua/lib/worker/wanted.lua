-- What a worker that may be given jobs says first. KEYS the turns of its lanes; ARGV owner, pool, slots (jobs it may
-- hold), keep (ms), and a map: queues, lanes {{queue, level}…} in the order in which it looks at them, lease (ms),
-- abandoned (packed outcome), retention (ms).
local function wanted()
  return {owner = ARGV[1], pool = ARGV[2], slots = tonumber(ARGV[3]), keep = ARGV[4], terms = ARGV[5]}
end
