--- @include "lib/record/snapshot_fields"

-- Snapshot of a job whose record was read.
local function snapshot_of(record, result)
  local values = {}
  for i, name in ipairs(snapshot_fields) do values[i] = record[name] or false end
  return {values, result}
end
