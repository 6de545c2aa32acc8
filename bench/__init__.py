"""Benchmarks: offloop beside its peers, alternating in one run. ``python -m bench --help`` says how."""
