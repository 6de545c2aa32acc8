-- The first arguments of every script that answers claims. KEYS are the rotations of the worker's lanes; ARGV owner,
-- pool, slots (jobs it may hold), keep (ms), and a map: queues, lanes {{queue, level}…} by priority, lease (ms),
-- abandoned (packed outcome), retention (ms).
local function worker_args()
  return {owner = ARGV[1], pool = ARGV[2], slots = tonumber(ARGV[3]), keep = ARGV[4], terms = ARGV[5]}
end
