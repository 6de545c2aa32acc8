"""Fixtures of this folder."""

from __future__ import annotations

from parts.postgres import postgres

__all__ = ["postgres"]
