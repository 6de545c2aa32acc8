"""Redis: connections, key schema, codec and scripts."""
