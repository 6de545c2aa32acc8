"""Benchmarks: offloop beside its peers, alternating in one run; see ``python -m bench --help``."""
