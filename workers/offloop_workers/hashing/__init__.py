"""Handlers of the kinds in ``offloop.jobs.hashing``."""
