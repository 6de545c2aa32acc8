--- @const RECORD

-- Store the record of a new job.
local function store_record(id, record, job)
  local flat = {}
  for name, value in pairs(record) do
    flat[#flat + 1] = name
    flat[#flat + 1] = value
  end
  redis.call('HSET', RECORD .. id, unpack(flat))
  redis.call('PEXPIRE', RECORD .. id, job.keep)
  if record.key then redis.call('SET', record.key, id, 'PX', job.keep) end
end
