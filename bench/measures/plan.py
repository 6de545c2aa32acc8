"""How much to measure, and with whom."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.report import Figures
from bench.rig import OrderError, Rig, rig


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run does.

    Attributes:
        rounds: how often each measure goes through all its stacks.
        quick: fewer and shorter samples: to see that everything works, not to quote.
        stacks: only these; all where empty.
    """

    rounds: int
    quick: bool
    stacks: frozenset[str] = frozenset()

    def among(self, *names: str) -> list[str]:
        """Those of the stacks that are wanted."""
        return [name for name in names if not self.stacks or name in self.stacks]

    def of(self, full: int, quick: int) -> int:
        """How many samples."""
        return quick if self.quick else full


@asynccontextmanager
async def running(name: str, figures: Figures, *, workers: int = 1, slots: int = 1) -> AsyncIterator[Rig]:
    """A stack; where it fails, that is noted and the run goes on with the next."""
    sys.stderr.write(f"  {name} ({workers} workers)\n")
    try:
        async with rig(name, workers=workers, slots=slots) as built:
            yield built
    except OrderError as error:
        figures.failures.append(str(error)[:500])
