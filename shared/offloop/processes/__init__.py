"""Local processes: supervision, embedded Redis, event loop."""
