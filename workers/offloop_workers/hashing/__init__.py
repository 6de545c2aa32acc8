"""The work of ``offloop.jobs.hashing``."""
