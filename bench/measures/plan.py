"""Plan of a run: number of rounds and samples, and the stacks."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench import venvs
from bench.peers import PEERS
from bench.report.figures import Figures
from bench.rig import OrderError, Rig, rig


@dataclass(frozen=True, slots=True)
class Plan:
    """Settings of one run.

    Attributes:
        rounds: how often each measure goes through all its stacks.
        quick: fewer and shorter samples: to see that everything works, not to quote.
        stacks: only these; all where empty.
    """

    rounds: int
    quick: bool
    stacks: frozenset[str] = frozenset()

    def among(self, *names: str) -> list[str]:
        """The chosen ones of these stacks; one of another checkout only where there is one."""
        chosen = [name for name in names if not self.stacks or name in self.stacks]
        return [name for name in chosen if venvs.before() or name not in PEERS or not PEERS[name].before]

    def of(self, full: int, quick: int) -> int:
        """Number of samples."""
        return quick if self.quick else full


@asynccontextmanager
async def running(
    name: str, figures: Figures, *, workers: int = 1, slots: int = 1, settings: dict[str, str] | None = None
) -> AsyncIterator[Rig]:
    """A stack; where it fails, that is noted and the run goes on with the next."""
    sys.stderr.write(f"  {name} ({workers} x {slots})\n")
    try:
        async with rig(name, workers=workers, slots=slots, settings=settings) as built:
            yield built
    except OrderError as error:
        figures.failures.append(str(error)[:500])
