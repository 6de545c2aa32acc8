-- Usage of a principal.
--
-- KEYS    ids, sizes
-- Answer  {artifacts, bytes}

--- @include "lib/quota/usage"

return {usage()}
