"""The contracts of the shipped families, one module each; the work is in ``offloop_workers``."""
