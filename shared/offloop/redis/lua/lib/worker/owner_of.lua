-- The worker that owns a token.
local function owner_of(token)
  return string.match(token, '^(.*):')
end
