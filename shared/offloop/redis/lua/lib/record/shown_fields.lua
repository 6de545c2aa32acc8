--- @const SHOWN

local shown_fields = SHOWN
