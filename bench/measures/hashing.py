"""Hashing: one large file, and many files of all sizes, beside common programs."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.measures.plan import Plan
from bench.report.figures import Figures

_COMMANDS: Final = {
    "sha256sum": "find tree -type f -print0 | xargs -0 sha256sum",
    "sha256sum, a process per core": f"find tree -type f -print0 | xargs -0 -n 500 -P {os.cpu_count()} sha256sum",
    "b3sum": "find tree -type f -print0 | xargs -0 b3sum",
    "hashdeep": "hashdeep -r -c sha256 tree",
}
_OURS: Final = {"offloop": "tree-all", "offloop, one core": "tree-1"}
_OURS_BLAKE3: Final = {"offloop blake3": "blake3-all", "offloop blake3, one core": "blake3-1"}


async def hashing(plan: Plan, figures: Figures) -> None:
    """SHA-256 of a file of 1 GB, and of 10,000 files of 400 MB together; everything is in the page cache.

    Ours is the job's own function, warm, in one process with its helpers; no queue takes part. The programs include
    their start. The sizes of the files follow a log-normal distribution: half of them have less than 13 kB, a few some
    megabytes. ``b3sum`` and ``hashdeep`` take part where they are installed.
    """
    with _files(plan) as folder:
        for _ in range(plan.rounds):
            _add(figures, "1 GB file", "offloop", await _ours("file", folder, plan))
            _add(figures, "1 GB file", "sha256sum", await _theirs("sha256sum big", folder))
            for name, what in {**_OURS, **_OURS_BLAKE3}.items():
                _add(figures, "10,000 files", name, await _ours(what, folder, plan))
            for name, command in _COMMANDS.items():
                if shutil.which(name.partition(",")[0]):
                    _add(figures, "10,000 files", name, await _theirs(command, folder))


def _add(figures: Figures, measure: str, stack: str, seconds: float) -> None:
    figures.add(measure, stack, "s", seconds)


async def _ours(what: str, folder: Path, plan: Plan) -> float:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.hashing", what, str(folder), str(plan.of(3, 1))), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(300):
        output, _ = await process.communicate()
    return float(min(json.loads(output)))


async def _theirs(command: str, folder: Path) -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_shell(command, cwd=folder, stdout=asyncio.subprocess.DEVNULL)
    async with asyncio.timeout(300):
        await process.wait()
    return time.perf_counter() - began


@contextmanager
def _files(plan: Plan) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        _fill(folder, plan.of(1_000_000_000, 100_000_000), plan.of(100, 10))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill(folder: Path, big: int, folders: int) -> None:
    sizes = random.Random(1)  # noqa: S311 -- the same files in each run
    block = os.urandom(2**20)
    with (folder / "big").open("wb") as file:
        for start in range(0, big, len(block)):
            file.write(block[: big - start])
    for number in range(folders):
        below = folder / "tree" / f"{number:03}"
        below.mkdir(parents=True)
        for name in range(100):
            (below / f"{name:02}.bin").write_bytes(os.urandom(int(sizes.lognormvariate(9.5, 1.5))))
