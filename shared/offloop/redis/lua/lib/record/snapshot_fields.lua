--- @const SNAPSHOT_FIELDS

local snapshot_fields = SNAPSHOT_FIELDS
