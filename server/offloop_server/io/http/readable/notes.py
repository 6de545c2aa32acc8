"""Notes about a page: what its readable part does not have, and why."""

from __future__ import annotations

from collections import Counter


class Notes:
    """Counts what is left out, and keeps sentences."""

    def __init__(self) -> None:
        self._left_out: Counter[str] = Counter()
        self._sentences: dict[str, None] = {}

    def leave_out(self, things: str, count: int = 1) -> None:
        """Count things that the text does not have; their name is a plural."""
        if count:
            self._left_out[things] += count

    def say(self, sentence: str) -> None:
        """Keep a sentence, once."""
        self._sentences[sentence] = None

    def all(self) -> list[str]:
        """The sentences."""
        counted = ", ".join(f"{things} ({count})" for things, count in self._left_out.items())
        return [*self._sentences, *([f"Left out: {counted}."] if counted else [])]
