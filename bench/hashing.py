"""Hashing in a process of its own, warm: ``python -m bench.hashing <what> <folder> <times>`` prints seconds as JSON.

``tree-1`` reads the folder with one process and ``tree-all`` with one for each core; ``file`` hashes ``big`` in it;
``blake3-1`` and ``blake3-all`` are the trees with BLAKE3. Each runs once more at first, unmeasured.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from offloop.jobs.hashing import FileToHash, TreeToHash
from offloop.kinds.job_context import JobContext
from offloop_workers.hashing import single, tree


def main(what: str, folder: str, times: str) -> None:
    """Measure one of the two."""
    if what.endswith("-1"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    gc.collect()
    gc.freeze()  # as a worker does before it forks its children
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        seconds = []
        for number in range(int(times) + 1):
            run, began = _run(what, _context(Path(scratch) / f"{number}", Path(folder))), time.perf_counter()
            run()
            seconds.append(time.perf_counter() - began)
    sys.stdout.write(json.dumps(seconds[1:]))


def _run(what: str, context: JobContext) -> Callable[[], object]:
    if what == "file":
        request = FileToHash.model_validate({"file": "root:in/big"})
        return lambda: single.hash_bytes(request, context)
    algorithm = "blake3" if what.startswith("blake3") else "sha256"
    wanted = TreeToHash.model_validate({"folder": "root:in/tree", "algorithm": algorithm})
    return lambda: tree.hash_files(wanted, context)


def _context(scratch: Path, folder: Path) -> JobContext:
    return JobContext(job_id="bench", folder=scratch, roots={"in": folder}, report=lambda _: None)


if __name__ == "__main__":
    main(*sys.argv[1:])
