-- The worker whose token it is.
local function owner_of(token)
  return string.match(token, '^(.*):')
end
