"""Servers for tests: web servers, webhook receivers, Redis nodes."""
