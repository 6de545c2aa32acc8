-- Usage of a principal.
--
-- KEYS    ids, sizes
-- Answer  {artifacts, bytes}

--- @include "lib/quota/count"

return {count, bytes}
