"""Files of a job that reads many: folder walks, path patterns, sources, progress in bytes."""
