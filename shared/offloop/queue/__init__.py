"""The job queue in Redis, as its clients see it."""
