"""Raster pictures: guarded opening, orientation, and colours in eight bits; for every family that opens one."""
