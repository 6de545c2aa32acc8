"""What one hostile case is; the cases themselves are data, a module for each family."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Case:
    """One call that means harm, and how it may end.

    Attributes:
        name: what is wrong with it, for the ids of tests.
        kind: the kind it is sent to.
        arguments: what is sent.
        outcome: ``"completed"`` or the codes of failures, any of which is right.
        forbidden: texts that must not appear anywhere in the answer.
    """

    name: str
    kind: str
    arguments: dict[str, Any] = field(repr=False)
    outcome: frozenset[str]
    forbidden: tuple[str, ...] = ()
