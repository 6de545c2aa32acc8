"""Warnings of one picture among several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Warned(Protocol):
    """The part of a job's context that takes warnings."""

    def warn(self, message: str) -> None:
        """Add a line to the answer's ``warnings``."""


@dataclass(frozen=True, slots=True)
class Named:
    """Warnings that begin with the name of the picture.

    Attributes:
        name: of the picture, quoted or numbered.
        to: takes the warnings.
    """

    name: str
    to: Warned

    def warn(self, message: str) -> None:
        """Add the line with the name before it."""
        self.to.warn(f"{self.name}: {message[:1].lower()}{message[1:]}")
