"""Options of a declaration: the typed keyword arguments that `declare` and `job` share.

Defaults and meanings are those of the fields of `Kind` and `Limits`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Final, Literal, TypedDict, get_args, get_type_hints

from offloop.kinds import limits
from offloop.kinds.limits import Limits

Isolation = Literal["fork", "reuse", "none"]
Sandbox = Literal["standard", "strict"]
Family = Literal["pdf", "images", "hashing", "search", "http", "sql", "mongodb", "redis", "gather", "webhooks"]

FAMILIES: Final[tuple[Family, ...]] = get_args(Family)
"""Names of the families; which kinds and tools belong to one is declared on the kinds and tools."""

BUDGET: Final = frozenset({"wait_seconds", "idempotency_key", "notify_url"})
"""Arguments that every tool of a job has beside its input: the wait budget, and what belongs to the call."""


class KindOptions(TypedDict, total=False):
    """Options of `declare` and `job`, each with its default; see `Kind` and `Limits` for the meaning of each value."""

    seconds: float
    memory_mb: int
    output_mb: int
    fetches: int
    artifacts: int
    pages: int
    pixels: int
    queue: str
    isolation: Isolation
    sandbox: Sandbox
    network: bool
    pure: bool
    retries: int
    family: Family | None


OPTIONS: Final = tuple(get_type_hints(KindOptions))


def as_fields(options: KindOptions) -> dict[str, Any]:
    """Fields of a `Kind` for these options: its `Limits`, and the other options as they are.

    Raises:
        TypeError: there is no such option; the message suggests one.
        SettingsError: the limits would let nothing run.
    """
    check_options("a job", options, OPTIONS)
    given: dict[str, Any] = dict(options)
    declared = {name: given.pop(name) for name in limits.NAMES if name in given}
    return {"limits": Limits(**declared), **given}


def check_options(declared: str, given: Iterable[str], known: tuple[str, ...]) -> None:
    """Refuse unknown options.

    Raises:
        TypeError: an option is unknown; the message suggests another.
    """
    for name in given:
        if name not in known:
            message = f"{declared} has no option {name!r}; {_suggestion(name, known)}"
            raise TypeError(message)


def unknown_family(name: str) -> str:
    """Message for a family that does not exist; it suggests one that does."""
    return f"there is no family {name[:40]!r}; {_suggestion(name.lower(), FAMILIES)}"


def _suggestion(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
