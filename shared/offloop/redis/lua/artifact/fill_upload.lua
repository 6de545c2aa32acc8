-- Store the fields of an upload whose bytes have come.
--
-- KEYS    record
-- ARGV    expires (ms), sha256, (field, value)…
-- Answer  'filled'
-- Errors  'gone': no record; 'conflict': it has other bytes

local size = redis.call('HGET', KEYS[1], 'size')
if not size then return 'gone' end
if size ~= '-1' then
  -- Sent twice, because the connection broke after the first: the same bytes are no conflict.
  return redis.call('HGET', KEYS[1], 'sha256') == ARGV[2] and 'filled' or 'conflict'
end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('PEXPIREAT', KEYS[1], ARGV[1])
return 'filled'
