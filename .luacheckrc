-- Redis runs scripts under Lua 5.1 with these globals. Checked are the texts as they are loaded
-- (`python -m offloop.redis.lua`): a missing include is an undefined name there, a needless one an unused function.
std = "lua51"
read_globals = { "redis", "cmsgpack", "cjson", "KEYS", "ARGV" }
max_line_length = false -- the sources are held by a test; constants in place make lines longer
