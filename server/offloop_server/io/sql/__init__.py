"""Databases that may be read: named connections, one driver for each sort, the same caps for all."""
