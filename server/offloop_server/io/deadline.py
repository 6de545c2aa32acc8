"""Time limit of one read of a source."""

from __future__ import annotations

import time

from offloop.errors import LimitExceeded


class Deadline:
    """A point in time.

    Args:
        seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left; 0 once it has passed."""
        return max(0.0, self._end - time.monotonic())

    def exceeded(
        self, advice: str = "Filter on indexed columns, read fewer rows, or look at its plan with explain=true."
    ) -> LimitExceeded:
        """The error for a read that took too long.

        Args:
            advice: the last sentence, for the caller.
        """
        return LimitExceeded(f"The query was stopped: it did not end within {self.seconds:g} s. {advice}")
