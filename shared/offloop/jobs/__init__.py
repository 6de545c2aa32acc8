"""Contracts of the shipped kinds; their work is in ``offloop_workers``, a folder for each family."""
