"""A context that remembers its warnings, for jobs that are to fail where others warn."""

from __future__ import annotations

from typing import Any, cast

from offloop.errors import JobError
from offloop.kinds.context import Context

_MAX_LISTED = 20


class _Recorder:
    """Everything of a context, and a list of what was warned of."""

    def __init__(self, context: Context, warnings: list[str]) -> None:
        self._context = context
        self._warnings = warnings

    def warn(self, message: str) -> None:
        """Keep the message, and pass it on."""
        self._warnings.append(message)
        self._context.warn(message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def recording(context: Context) -> tuple[Context, list[str]]:
    """The context, and a list that grows with each of its warnings."""
    warnings: list[str] = []
    return cast("Context", _Recorder(context, warnings)), warnings


def refuse(warnings: list[str]) -> None:
    """Fail with all that was warned of.

    Raises:
        JobError: ``strict``: there was at least one warning.
    """
    if found := list(dict.fromkeys(" ".join(warning.split())[:300] for warning in warnings)):
        listed = " ".join(f"({number}) {warning}" for number, warning in enumerate(found[:_MAX_LISTED], 1))
        more = f" And {len(found) - _MAX_LISTED} more." if len(found) > _MAX_LISTED else ""
        message = f"The document has faults, and strict is set: {listed}{more} Correct them, or leave strict out."
        raise JobError(message, code="strict")
