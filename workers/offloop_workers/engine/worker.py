"""arq's worker, handed its jobs instead of polling: leases, fences, aborts, and no message that anything depends on.

`Worker` subclasses arq 0.28's (pinned) and keeps its table of functions, counters and tasks; it replaces how jobs are
found and taken (`main`) and run (`run_job`). Four loops share one life; a broken connection ends none of them:

* *beat* keeps the leases, shows that the worker lives, hears of lost leases and cancellations, takes what waits, and
  offers the places that are left;
* *listen* hears of jobs that are handed over, and of cancellations, at once;
* *report* writes the latest progress of each job;
* *sweep* finds jobs that nobody was told of.

Who ends a job takes the next one, or offers its place, in the same request.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from arq.worker import Worker as ArqWorker
from arq.worker import func

from offloop import logs
from offloop.queue.client import PENDING_SECONDS
from offloop.queue.record import Cancelled, Done, Failed, Outcome, Progress, pack_outcome
from offloop.redis import codec, schema, scripts
from offloop.redis.connection import connect, connect_blocking
from offloop.redis.outage import AWAY, forever
from offloop.redis.subscriber import Subscriber
from offloop_workers.engine.attempt import Again, Claim

if TYPE_CHECKING:
    from arq.typing import WorkerCoroutine

    from offloop.kinds.catalogue import Catalogue
    from offloop.redis.lua import Script

BEAT_SECONDS: Final = 1.0
ALIVE_MS: Final = 5000
"""A worker that has not shown itself for this long does not count as alive."""
SWEEP_SECONDS: Final = 1.0
BATCH_TURN: Final = 8
"""Every so many times a worker looks first for jobs that nobody waits for."""
SETTLE_SECONDS: Final = 60
"""How long an outcome is offered to a Redis that does not answer, before the job is left to be run again."""

HAND_BACK_SECONDS: Final = 2
"""How long a drained worker takes at most for each of what it still has to tell Redis."""

log = logs.get(__name__)


class Stop(Enum):
    """Why a running attempt is ended from outside."""

    CANCELLED = auto()
    LOST = auto()
    DRAINED = auto()


class Worker(ArqWorker):
    """A worker for several queues on one event loop.

    Args:
        kinds: what it knows.
        perform: runs one attempt.
        queues: what it serves.
        slots: attempts at once.
        redis_url: where.
        retention_seconds: how long outcomes are kept.
    """

    def __init__(  # noqa: PLR0913 -- all named, all needed
        self,
        kinds: Catalogue,
        perform: Callable[[Claim, Callable[[Progress], None]], Awaitable[Outcome | Again]],
        *,
        queues: Sequence[str],
        slots: int,
        redis_url: str,
        retention_seconds: int,
    ) -> None:
        redis = connect(redis_url)
        super().__init__(
            [func(_STOCK_ENTRY, name=kind.name, timeout=kind.limits.seconds) for kind in kinds.values()],
            queue_name=schema.queue_key(queues[0]),
            redis_pool=redis,
            handle_signals=False,
            max_jobs=slots,
            job_serializer=codec.pack,
            job_deserializer=codec.unpack,
        )
        self.owner = f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
        self._perform = perform
        self._queues = list(queues)
        self._keep_ms = retention_seconds * 1000
        self._pending_ms = max(PENDING_SECONDS, retention_seconds) * 1000
        self._pool_name = schema.pool_name(queues)
        self._terms = {
            "queues": self._queues,
            "lease": scripts.LEASE_MS,
            "abandoned": _ABANDONED,
            "retention": self._keep_ms,
        }
        self._wants: dict[int, tuple[list[str], bytes]] = {}
        self._took: dict[str, list[float]] = {}
        self._listening = connect_blocking(redis_url)
        self._look = asyncio.Event()
        self._channel = Subscriber(
            self._listening, schema.CONTROL_CHANNEL + self.owner, self._obey, ready=self._look.set
        )
        self._claims: dict[str, Claim] = {}
        self._stopping: dict[str, Stop] = {}
        self._turn = 1
        self._progress: dict[str, Progress] = {}
        self._reported = asyncio.Event()
        self._begun = scripts.load(redis, scripts.BEGIN)
        self._beat = scripts.load(redis, scripts.BEAT)
        self._tell = scripts.load(redis, scripts.PROGRESS)
        self._finish = scripts.load(redis, scripts.FINISH)
        self._release = scripts.load(redis, scripts.RELEASE)
        self._sweep = scripts.load(redis, scripts.SWEEP)

    async def main(self) -> None:
        """Serve until cancelled, or closed."""
        self.main_task = asyncio.current_task()
        log.info("worker ready", owner=self.owner, queues=self._queues, slots=self.max_jobs, kinds=len(self.functions))
        async with asyncio.TaskGroup() as loops:
            # Heartbeats come first when the server is back: the sweep gives them half a lease.
            loops.create_task(forever(self._show_life, pause=0.5), name="beat")
            for step in (self._listen, self._report, self._sweep_queues):
                loops.create_task(forever(step), name=step.__name__)

    async def drain(self, grace: float) -> None:
        """Take no more jobs, let the running ones end for `grace` seconds, and hand back the rest."""
        if self._pool is None:
            return
        self.allow_pick_jobs = False
        with contextlib.suppress(TimeoutError, *AWAY):
            async with asyncio.timeout(HAND_BACK_SECONDS):
                await self._take_stock()  # offers no place any more, so that nothing more is handed over
                await self._channel.hear_all()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while self.tasks:  # one that ends may have taken another, in a request that was under way
                    await asyncio.wait(self.tasks.values())
        for token in list(self._claims):
            self._stop(token, Stop.DRAINED)
        if self.tasks:
            await asyncio.wait(self.tasks.values(), timeout=HAND_BACK_SECONDS)

    async def close(self) -> None:
        """End the loops, say goodbye and close the connections. Safe to call twice."""
        if self._pool is None:
            return
        if self.main_task and not self.main_task.done():
            self.main_task.cancel()  # a loop that goes on would open a connection anew, and nobody would close it
            await asyncio.wait([self.main_task])
        with contextlib.suppress(*AWAY):
            for queue in self._queues:
                await self.pool.zrem(schema.beats_key(queue), self.owner)
        await self._listening.aclose(close_connection_pool=True)
        await self.pool.aclose(close_connection_pool=True)
        self._pool = None

    # --- taking jobs ---

    def _draining(self) -> bool:
        return not self.allow_pick_jobs

    def _lanes(self) -> list[tuple[str, str]]:
        """Where to look for jobs, as (queue, level): the first that has one is served, so the order is the priority.

        Jobs that somebody waits for go first, but every `BATCH_TURN`-th time the others do, so that none starves; and
        the queues take turns at being first.
        """
        batches, rest = divmod(self._turn, BATCH_TURN)
        # Each level counts its own turns: with one count for both, eight queues would always find the same one first.
        first = (self._turn - batches if rest else batches) % len(self._queues)
        queues = self._queues[first:] + self._queues[:first]
        levels = ("interactive", "batch") if rest else ("batch", "interactive")
        return [(queue, level) for level in levels for queue in queues]

    async def _call(self, script: Script, *args: Any) -> Any:
        """Run a script that may give this worker jobs; see `wanted` in `offloop.redis.scripts`."""
        order = self._turn % (BATCH_TURN * len(self._queues))
        if order not in self._wants:
            lanes = self._lanes()
            terms = codec.pack_for_lua({**self._terms, "lanes": lanes})
            self._wants[order] = [schema.turns_key(*lane) for lane in lanes], terms
        turns, terms = self._wants[order]
        slots = 0 if self._draining() else self.max_jobs
        return await script(turns, [self.owner, self._pool_name, slots, self._pending_ms, terms, *args])

    async def _take_stock(self) -> None:
        """Renew the leases, take what waits, offer what places are left; or, where it drains, none."""
        held = [part for claim in self._claims.values() for part in (claim.job_id, claim.token)]
        took, self._took = self._took, {}
        paces = {queue: round(1000 * sum(spent) / len(spent)) for queue, spent in took.items()}
        lost, cancelled, rows = await self._call(self._beat, ALIVE_MS, codec.pack_for_lua(paces), *held)
        for token in lost:
            self._stop(token.decode(), Stop.LOST)
        for token in cancelled:
            self._stop(token.decode(), Stop.CANCELLED)
        self._begin(rows)

    def _begin(self, rows: list[list[Any]]) -> None:
        """Run what was taken."""
        self._turn += bool(rows)  # looking in vain is nobody's turn
        for row in rows:
            self._start(_claim(row))

    def _receive(self, row: list[Any]) -> None:
        """Run a job that was handed over. One that may not be run again is begun once the server has been told so."""
        self._start(_claim(row, handed=True))

    async def _confirm(self, claim: Claim) -> bool:
        """Whether the job is still this worker's, and counts as executed from now on; False where nobody can tell."""
        try:
            return bool(await self._begun(args=[claim.job_id, claim.token]))
        except AWAY as error:
            log.warning("a job that was handed over is left to others", job_id=claim.job_id, error=str(error))
            return False

    def _start(self, claim: Claim) -> None:
        # By token, here and in all tables: a job may come back while the attempt that lost it is still being ended.
        self._claims[claim.token] = claim
        self.job_counter += 1
        task = self.loop.create_task(self.run_job(claim.token, claim.attempt), name=f"job {claim.job_id}")
        self.tasks[claim.token] = task
        task.add_done_callback(partial(self._over, claim))

    def _over(self, claim: Claim, task: asyncio.Task[None]) -> None:
        for kept in (self.tasks, self._claims, self._stopping, self._progress):
            kept.pop(claim.token, None)
        if not task.cancelled() and (error := task.exception()):
            log.error(
                "outcome not stored; the lease lapses and the job is run again", job_id=claim.job_id, exc_info=error
            )

    # --- running one ---

    async def run_job(self, job_id: str, score: int) -> None:  # noqa: ARG002 -- arq's signature
        """Perform the claimed job of a token (`job_id`) and settle it: arq's one long function, as two steps."""
        claim = self._claims[job_id]
        outcome: Outcome | Again | Stop
        began = self.loop.time()
        try:
            # It may have been stopped before this began.
            outcome = self._stopping[job_id] if job_id in self._stopping else await self._attempt(claim)
            await self._settle(claim, outcome, self.loop.time() - began)
        finally:
            self.job_counter -= 1  # unless the next job has been taken for this place, and counted

    async def _attempt(self, claim: Claim) -> Outcome | Again | Stop:
        """Perform it in this very task, which `_stop` may cancel for as long as that takes."""
        token = claim.token
        log.debug("→ job", job_id=claim.job_id, kind=claim.kind, attempt=claim.attempt, principal=claim.principal)
        self.job_tasks[token] = task = self.tasks[token]
        try:
            outcome = await self._execute(claim)
        except asyncio.CancelledError:
            outcome = Stop.DRAINED
        finally:
            del self.job_tasks[token]
            while task.cancelling():  # met here; before 3.11.3 a timeout in a task still marked as cancelled cancels it
                task.uncancel()
        return self._stopping.get(token, outcome)

    async def _execute(self, claim: Claim) -> Outcome | Again | Stop:
        if claim.handed and claim.allowed == 1 and not await self._confirm(claim):
            return Stop.LOST
        if claim.payload is None:
            payload = await self._insist(lambda: self.pool.get(schema.PAYLOAD + claim.job_id))
            claim = replace(claim, payload=payload or b"")
        return await self._perform(claim, lambda progress: self._note(claim.token, progress))

    async def _settle(self, claim: Claim, outcome: Outcome | Again | Stop, took: float) -> None:
        match outcome:
            case Stop.LOST:
                log.warning("↯ lease lost, attempt dropped", job_id=claim.job_id, attempt=claim.attempt)
                self._look.set()  # the place is free, and nobody knows
                return
            case Stop.DRAINED | Again():
                self.jobs_retried += 1
                counted = isinstance(outcome, Again)
                stored, rows = await self._insist(
                    lambda: self._call(self._release, claim.job_id, claim.token, int(counted))
                )
                state = "queued"
            case _:
                ending: Outcome = Cancelled() if isinstance(outcome, Stop) else outcome
                stored, rows = await self._insist(lambda: self._conclude(claim, ending))
                state = ending.state.value
                if isinstance(ending, Done):
                    self._took.setdefault(claim.queue, []).append(took)
                if isinstance(ending, Failed):
                    self.jobs_failed += 1
                else:
                    self.jobs_complete += 1
        self._begin(rows)
        if stored:
            log.info(
                "← job",
                job_id=claim.job_id,
                kind=claim.kind,
                state=state,
                attempt=claim.attempt,
                principal=claim.principal,
                seconds=round(took, 3),
            )
        else:
            log.warning("late outcome dropped, another attempt owns the job", job_id=claim.job_id, state=state)

    async def _conclude(self, claim: Claim, outcome: Outcome) -> Any:
        packed = pack_outcome(outcome, job_id=claim.job_id, kind=claim.kind, queue=claim.queue, attempt=claim.attempt)
        return await self._call(self._finish, claim.job_id, claim.token, outcome.state.value, packed, self._keep_ms)

    async def _insist(self, send: Callable[[], Awaitable[Any]]) -> Any:
        """Offer a write until Redis takes it, and answer its reply; the scripts are safe to repeat.

        Raises:
            TimeoutError: it did not for `SETTLE_SECONDS`.
        """
        delay, deadline = 0.05, self.loop.time() + SETTLE_SECONDS
        while True:
            try:
                return await send()  # which answers, or raises, within the connection's own bounds
            except AWAY as error:
                if self.loop.time() + delay > deadline:
                    late = f"Redis took no outcome for {SETTLE_SECONDS} s"
                    raise TimeoutError(late) from error
                log.warning("Redis does not take an outcome, trying again", error=str(error), delay=delay)
                await asyncio.sleep(delay)
                delay = min(1.0, delay * 2)

    def _note(self, token: str, progress: Progress) -> None:
        self._progress[token] = progress
        self._reported.set()

    def _stop(self, token: str, why: Stop) -> None:
        # Only the attempt itself can be stopped; once it has an outcome, the fence decides whether that still counts.
        if token in self._claims and token not in self._stopping:
            self._stopping[token] = why
            if token in self.job_tasks:
                self.tasks[token].cancel()

    # --- the other loops ---

    async def _show_life(self) -> None:
        self._look.clear()
        await self._take_stock()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEAT_SECONDS):
                await self._look.wait()

    async def _listen(self) -> None:
        # Until it hears, nobody can hand anything over.
        await self._channel.listen()

    def _obey(self, message: bytes) -> None:
        order, *rest = codec.unpack_order(message)
        match order:
            case b"run":
                self._receive(*rest)
            case b"stop":
                self._stop(rest[0].decode(), Stop.CANCELLED)
            case b"look":
                self._look.set()

    async def _report(self) -> None:
        await self._reported.wait()
        self._reported.clear()
        latest, self._progress = self._progress, {}
        for token, progress in latest.items():
            if claim := self._claims.get(token):
                await self._tell(args=[claim.job_id, token, progress.pack()])

    async def _sweep_queues(self) -> None:
        for queue in self._queues:
            found = await self._sweep(
                keys=schema.sweep_keys(queue),
                args=[queue, int(SWEEP_SECONDS * 500), scripts.LEASE_MS, self._pending_ms],
            )
            if found > 0:
                log.info("found forgotten jobs", queue=queue, count=found)
        await asyncio.sleep(SWEEP_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 -- spreads load, guards nothing


async def _stock_entry(_context: dict[Any, Any], *_positional: Any, **_named: Any) -> None:
    """Stands in arq's table of functions; `Worker.run_job` never calls it."""


def _claim(row: list[Any], *, handed: bool = False) -> Claim:
    """What the scripts answer for one job."""
    job_id, token, payload, tries, allowed, attempt, principal, kind, queue = row
    return Claim(
        job_id=job_id.decode(),
        kind=kind.decode(),
        queue=queue.decode(),
        token=token.decode(),
        payload=None if payload is False else payload,
        tries=tries,
        allowed=allowed,
        attempt=attempt,
        principal=principal.decode(),
        handed=handed,
    )


_STOCK_ENTRY: Final = cast("WorkerCoroutine", _stock_entry)


_ABANDONED: Final = pack_outcome(Cancelled(), job_id="", kind="", queue="")
