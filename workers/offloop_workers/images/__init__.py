"""Handlers of the kinds in ``offloop.jobs.images``."""
