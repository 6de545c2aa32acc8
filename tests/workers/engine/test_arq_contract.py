"""The formats of arq that the engine reads and writes: key names and the job's envelope."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arq import constants, jobs

import offloop
import offloop_server
import offloop_workers
from offloop.redis import codec, schema


def test_one_module_imports_arqs_worker() -> None:
    """It is what to read when the pin of arq is raised."""
    roots = [Path(package.__file__ or "").parent for package in (offloop, offloop_server, offloop_workers)]
    modules = [path for root in roots for path in root.rglob("*.py")]
    assert [path.name for path in modules if "arq.worker" in _imported(path)] == ["arq.py"]


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_the_names_of_arqs_keys_are_those_that_stay_valid_across_versions() -> None:
    """A worker and a front end of different versions share one Redis during an update."""
    assert (schema.PAYLOAD, schema.LEASE, schema.RESULT, schema.QUEUE) == (
        "arq:job:",
        "arq:in-progress:",
        "arq:result:",
        "arq:queue:",
    )
    assert (
        constants.job_key_prefix,
        constants.in_progress_key_prefix,
        constants.result_key_prefix,
        constants.default_queue_name + ":",
    ) == (schema.PAYLOAD, schema.LEASE, schema.RESULT, schema.QUEUE)


def test_a_job_survives_arqs_format() -> None:
    packed = jobs.serialize_job("kind", (), {"a": [1, None]}, None, 7, serializer=codec.pack)
    assert codec.unpack(packed) == {"t": None, "f": "kind", "a": [], "k": {"a": [1, None]}, "et": 7}
    raw: tuple[Any, ...] = jobs.deserialize_job_raw(packed, deserializer=codec.unpack)
    assert (raw[0], list(raw[1]), *raw[2:]) == ("kind", [], {"a": [1, None]}, None, 7)
