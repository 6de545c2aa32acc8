local multibyte = {
  '[\194-\223][\128-\191]', '\224[\160-\191][\128-\191]', '[\225-\236\238\239][\128-\191][\128-\191]',
  '\237[\128-\159][\128-\191]', '\240[\144-\191][\128-\191][\128-\191]',
  '[\241-\243][\128-\191][\128-\191][\128-\191]', '\244[\128-\143][\128-\191][\128-\191]'}

-- Whether an id is UTF-8.
local function is_text(id)
  for _, character in ipairs(multibyte) do
    if not string.find(id, '[\128-\255]') then return true end
    id = string.gsub(id, character, ' ')
  end
  return not string.find(id, '[\128-\255]')
end
