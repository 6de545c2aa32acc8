"""Fixtures of this folder."""

from __future__ import annotations

from support.redis import redis, valkey

__all__ = ["redis", "valkey"]
