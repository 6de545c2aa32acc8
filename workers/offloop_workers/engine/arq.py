"""arq's worker, whose jobs are dispatched and executed by us; the only module that imports `arq.worker`.

arq keeps the table of functions, the slots, the tasks and the counters. It polls its queue in `main` and does all of a
job in `run_job`; these two are replaced.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from arq.worker import Worker, func

from offloop.queue.record import State
from offloop.redis import codec, schema

if TYPE_CHECKING:
    from arq.typing import WorkerCoroutine

    from offloop.kinds.catalogue import Catalogue
    from offloop.redis import RedisClient
    from offloop_workers.engine.dispatch import Dispatch
    from offloop_workers.engine.execution import Execution


async def _by_execution(_context: dict[Any, Any], *_positional: Any, **_named: Any) -> None:
    """Stands for each kind in arq's table of functions; `ArqWorker.run_job` does not call it."""


_ENTRY: Final = cast("WorkerCoroutine", _by_execution)


class ArqWorker(Worker):
    """arq's worker for a catalogue of kinds.

    Args:
        kinds: the kinds, by name.
        redis: the connection for commands.
        queue: the first of its queues.
        slots: jobs that may run at the same time.
    """

    dispatch: Dispatch
    execution: Execution

    def __init__(self, kinds: Catalogue, redis: RedisClient, *, queue: str, slots: int) -> None:
        super().__init__(
            [func(_ENTRY, name=kind.name, timeout=kind.limits.seconds) for kind in kinds.values()],
            queue_name=schema.queue_key(queue),
            redis_pool=redis,
            handle_signals=False,
            max_jobs=slots,
            job_serializer=codec.pack,
            job_deserializer=codec.unpack,
        )

    async def main(self) -> None:
        """Serve until cancelled."""
        self.main_task = asyncio.current_task()
        await self.dispatch.serve()

    async def run_job(self, job_id: str, score: int) -> None:  # noqa: ARG002 -- arq's signature
        """Run a claimed job. Its token stands for `job_id`: one job may have two attempts here for a moment."""
        match await self.execution.run(job_id):
            case State.FAILED:
                self.jobs_failed += 1
            case State.QUEUED:
                self.jobs_retried += 1
            case State.COMPLETED | State.CANCELLED:
                self.jobs_complete += 1
