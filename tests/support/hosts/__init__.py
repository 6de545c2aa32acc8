"""Hosts and servers that tests talk to."""
