"""Tasks for children, made without a queue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from arq.jobs import serialize_job

from offloop import Kind
from offloop.redis import codec
from offloop_workers.children.fetching import FetchBudget
from offloop_workers.children.task import Task


def payload(kind: Kind[Any, Any], arguments: dict[str, Any]) -> bytes:
    """A job as a submit stores it."""
    packed: bytes = serialize_job(kind.name, (), arguments, None, 0, serializer=codec.pack)
    return packed


def task_of(
    kind: Kind[Any, Any], arguments: dict[str, Any], folder: Path | str, budget: FetchBudget | None = None
) -> Task:
    """A first attempt, without files, that works in a folder which does not exist yet."""
    return Task(kind, "a-job", 1, payload(kind, arguments), str(folder), {}, budget)
