"""Fixtures of this folder."""

from __future__ import annotations

from parts.valkey import redis, valkey

__all__ = ["redis", "valkey"]
