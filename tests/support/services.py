"""Services for the test of a single tool."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from offloop.artifacts.links import Links
from offloop_server.toolkit.services import Caller, Services

LINKS = Links(b"k" * 32, "http://test")
"""Links of the callers below."""


def only(**parts: Any) -> Services:
    """Services of which only the given parts exist; the use of another one fails the test."""
    absent: dict[str, Any] = dict.fromkeys(field.name for field in fields(Services))
    return Services(**absent | parts)


def principal(name: str) -> Caller:
    """The caller of a tool, whose progress is dropped."""

    async def relay(_progress: object) -> None:
        """Drop the progress."""

    return Caller(name, LINKS, relay)
