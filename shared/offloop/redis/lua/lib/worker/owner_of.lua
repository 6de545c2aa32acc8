-- Which worker has a token.
local function owner_of(token)
  return string.match(token, '^(.*):')
end
