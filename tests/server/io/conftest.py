"""Fixtures of this folder."""

from __future__ import annotations

from support.postgres import postgres

__all__ = ["postgres"]
