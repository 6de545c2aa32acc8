"""Type of a hostile case; the cases are data, in a module for each family."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Case:
    """A hostile call and its allowed outcomes.

    Attributes:
        name: description of the attack, for test ids.
        kind: kind that is called.
        arguments: arguments of the call.
        outcome: allowed outcomes: ``"completed"`` or error codes.
        forbidden: texts that must not appear in the answer.
    """

    name: str
    kind: str
    arguments: dict[str, Any] = field(repr=False)
    outcome: frozenset[str]
    forbidden: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"
