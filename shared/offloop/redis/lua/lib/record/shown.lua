--- @include "lib/record/shown_fields"

-- The same, from a whole record.
local function shown(record, result)
  local values = {}
  for i, name in ipairs(shown_fields) do values[i] = record[name] or false end
  return {values, result}
end
