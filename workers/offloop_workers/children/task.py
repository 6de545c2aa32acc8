"""Task: one attempt as a child gets it, and the failures that end it from outside."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offloop.errors import Crashed, LimitExceeded
from offloop.kinds.kind import Kind

if TYPE_CHECKING:
    from offloop_workers.children.fetching import FetchBudget


@dataclass(frozen=True, slots=True)
class Task:
    """One attempt, as a child gets it.

    Attributes:
        kind: the kind to perform.
        job_id: for the job's own use and the log.
        attempt: number of this execution.
        payload: arq's serialized job, which the child reads.
        folder: a path that does not exist yet; the child makes it and the caller deletes it.
        inputs: local paths of the artifacts and URLs that the input names, by their reference.
        budget: fetches the URLs that the work asks for while it runs; None refuses them.
        spent: seconds of the kind's limit that are used up already.
    """

    kind: Kind[Any, Any]
    job_id: str
    attempt: int
    payload: bytes
    folder: str
    inputs: dict[str, str]
    budget: FetchBudget | None = None
    spent: float = 0

    def to_frame(self) -> dict[str, Any]:
        """The message that `offloop_workers.children.child.serve` reads."""
        return {
            "kind": self.kind.name,
            "job_id": self.job_id,
            "attempt": self.attempt,
            "payload": self.payload,
            "folder": self.folder,
            "fetched": f"{self.folder.rpartition('/')[0]}/fetched",
            "inputs": self.inputs,
            "limits": self.kind.limits.to_wire(),
            "last": self.kind.isolation == "fork",
        }


def overdue(kind: Kind[Any, Any]) -> LimitExceeded:
    """The failure of a task that was stopped after its time limit."""
    return LimitExceeded(
        f"{kind.name} was stopped after its limit of {kind.limits.seconds:g} seconds: send less, or split the work "
        "into several calls."
    )


def disk_bytes(task: Task) -> int:
    """Bytes that all files of a task may take, temporary ones included."""
    return 4 * task.kind.limits.output_mb << 20


def over_disk_limit(task: Task) -> LimitExceeded:
    """The failure of a task that was stopped for its files."""
    return LimitExceeded(
        f"{task.kind.name} was stopped when its files took more than {disk_bytes(task) >> 20} MiB on disk (four times "
        "output_mb), or were too many: send less, or ask for less."
    )


def crash(task: Task, code: int) -> Crashed:
    """The failure of a task whose child has ended with an exit code, or by a signal (negative)."""
    how = f"exit code {code}"
    if code < 0:
        with contextlib.suppress(ValueError):
            how = signal.Signals(-code).name
    if how == "SIGXCPU":
        return Crashed(f"{task.kind.name} used up its CPU time ({task.kind.limits.seconds:g} seconds): send less.")
    return Crashed(
        f"{task.kind.name} crashed its process ({how}); only this job is affected. If it happens again with the same "
        "input, that input breaks a library: simplify it."
    )
