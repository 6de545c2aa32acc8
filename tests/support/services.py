"""Services for the test of a single tool."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from offloop_server.toolkit.services import Services


def only(**parts: Any) -> Services:
    """Services of which only the given parts exist; the use of another one fails the test."""
    absent: dict[str, Any] = dict.fromkeys(field.name for field in fields(Services))
    return Services(**absent | parts)
