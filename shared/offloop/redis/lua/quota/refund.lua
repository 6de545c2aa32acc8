-- Count artifacts out.
--
-- KEYS    ids, sizes
-- ARGV    id…

--- @include "lib/quota/uncount"

for _, id in ipairs(ARGV) do uncount(id) end
