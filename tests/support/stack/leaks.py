"""Leak checks: keys in Redis and files that a test left behind."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from offloop.redis import schema

if TYPE_CHECKING:
    from support.stack.valkey import Valkey

_FOR_EVER = {schema.FENCE, schema.ROTATION_COUNTER, "offloop:secret"}
"""Keys of a deployment, which do not expire."""


_LIVING = re.compile(r"offloop-\d+/worker-[^/]+(/children(/\d+)?)?")
"""Temporary folders of a running worker: its own, and an empty one for each child."""


def left_in_redis(valkey: Valkey) -> list[str]:
    """Keys without expiry: every key of a job expires, and queues are empty once the work is done."""
    with valkey.redis() as redis:
        keys = [key.decode() for key in redis.scan_iter(count=1000)]
        with redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.pttl(key)
            ends = cast("list[int]", pipe.execute())
    return sorted(key for key, end in zip(keys, ends, strict=True) if end == -1 and key not in _FOR_EVER)


def left_in_folders(folder: Path, *, running: bool = True) -> list[str]:
    """Files of a stack that should not exist: temporary files, and files in the artifact store other than blobs."""
    left = [*_temporary(folder / "tmp", running=running)]
    artifacts = folder / "state" / "artifacts"
    left += [
        str(path.relative_to(folder))
        for path in artifacts.rglob("*")
        if path.is_file() and not re.fullmatch(r"\d{10}/[0-9a-f]{64}", str(path.relative_to(artifacts)))
    ]
    return left


def _temporary(folder: Path, *, running: bool) -> Iterator[str]:
    """Entries of the temporary folder, except the folders of running workers."""
    scratch = folder / f"offloop-{os.getuid()}"
    for path in folder.rglob("*"):
        if path != scratch and not (running and _LIVING.fullmatch(str(path.relative_to(scratch.parent)))):
            yield str(path.relative_to(folder))
