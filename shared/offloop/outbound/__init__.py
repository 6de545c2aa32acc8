"""Requests to hosts outside: address policy, transport, redirects, bounds."""
