"""The work of ``offloop.jobs.images``."""
