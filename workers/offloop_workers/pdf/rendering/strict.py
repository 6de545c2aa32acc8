"""Strict mode: a context that records its warnings, so that they can fail the job."""

from __future__ import annotations

from typing import Any, cast

from offloop.errors import JobError
from offloop.kinds.context import Context

_MAX_LISTED = 20


class _Recorder:
    """Proxy of a context that also keeps a list of its warnings."""

    def __init__(self, context: Context, warnings: list[str]) -> None:
        self._context = context
        self._warnings = warnings

    def warn(self, message: str) -> None:
        """Record the message, and pass it on."""
        self._warnings.append(message)
        self._context.warn(message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def recording(context: Context) -> tuple[Context, list[str]]:
    """The context behind a recorder, and the list that grows with each warning."""
    warnings: list[str] = []
    return cast("Context", _Recorder(context, warnings)), warnings


def refuse(warnings: list[str]) -> None:
    """Fail with all recorded warnings, if there are any.

    Raises:
        JobError: ``strict``: there was at least one warning.
    """
    if found := list(dict.fromkeys(" ".join(warning.split())[:300] for warning in warnings)):
        listed = " ".join(f"({number}) {warning}" for number, warning in enumerate(found[:_MAX_LISTED], 1))
        more = f" And {len(found) - _MAX_LISTED} more." if len(found) > _MAX_LISTED else ""
        message = f"The document has faults, and strict is set: {listed}{more} Correct them, or leave strict out."
        raise JobError(message, code="strict")
