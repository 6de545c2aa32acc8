-- Count artifacts out.
--
-- KEYS    ids, sizes
-- ARGV    id…

--- @include "lib/quota/count"

for _, id in ipairs(ARGV) do drop(id) end
