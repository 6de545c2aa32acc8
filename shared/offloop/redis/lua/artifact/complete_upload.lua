-- Store the fields of an upload whose bytes have arrived.
--
-- KEYS    record
-- ARGV    expires (ms), sha256, (field, value)…
-- Answer  'completed'
-- Errors  'gone': no record; 'conflict': it has other bytes already

local size = redis.call('HGET', KEYS[1], 'size')
if not size then return 'gone' end
if size ~= '-1' then
  -- The same bytes are no conflict: the script is sent again after a broken connection.
  return redis.call('HGET', KEYS[1], 'sha256') == ARGV[2] and 'completed' or 'conflict'
end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('PEXPIREAT', KEYS[1], ARGV[1])
return 'completed'
