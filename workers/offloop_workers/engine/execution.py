"""Execution: a claimed job from its confirmation to its settled outcome.

::

    confirm   an assigned job that may not run again is counted first     (else LOST)
    load      what the claim is too short for is read: a long payload, the kind of a job of stock arq
    perform   `attempt.Performer` runs it; `Execution.stop` may cancel it
    settle    the outcome is stored, or the job released
    next      the script that settles may return claims, which are started

An attempt is known by its token, never by its job's id: a job may come back to a worker while the attempt that lost it
is still being ended.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from offloop import logs
from offloop.errors import JobError
from offloop.queue.record import Cancelled, Done, Outcome, Progress, State, pack_outcome
from offloop.redis import codec, schema, scripts
from offloop.redis.outage import AWAY
from offloop_workers.children.payload import kind_of
from offloop_workers.engine.attempt import Again

if TYPE_CHECKING:
    from offloop.redis import RedisClient
    from offloop_workers.engine.claiming import Claim, Claimer

SETTLE_SECONDS: Final = 60
"""Seconds of retries for storing an outcome while Redis does not answer; after them the job is left to run again."""

Perform = Callable[["Claim", Callable[[Progress], None]], Awaitable[Outcome | Again]]

log = logs.get(__name__)


class Stop(Enum):
    """Why a running attempt is ended from outside."""

    CANCELLED = auto()
    LOST = auto()
    DRAINED = auto()


@dataclass(slots=True, eq=False)
class Running:
    """An attempt that is under way.

    Attributes:
        claim: its job and fence.
        stopped: why it is to end, if it is.
        performing: its task may be cancelled.
        progress: the latest, where it is not yet stored.
    """

    claim: Claim
    stopped: Stop | None = None
    performing: bool = False
    progress: Progress | None = None


class Execution:
    """Runs the claims of one worker.

    Args:
        perform: runs one attempt.
        redis: the connection for commands.
        claimer: the worker's claims.
        tasks: a table for the tasks of the attempts, by token.
        run_job: what a task awaits, with token and attempt; it calls `run`.
    """

    def __init__(
        self,
        perform: Perform,
        redis: RedisClient,
        claimer: Claimer,
        *,
        tasks: dict[str, asyncio.Task[Any]],
        run_job: Callable[[str, int], Coroutine[Any, Any, None]],
    ) -> None:
        self.running: dict[str, Running] = {}
        self._perform = perform
        self._redis = redis
        self._claimer = claimer
        self._tasks = tasks
        self._run_job = run_job
        self._reported = asyncio.Event()
        self._durations: dict[str, list[float]] = {}
        self._begin = scripts.load(redis, scripts.BEGIN)
        self._progress = scripts.load(redis, scripts.PROGRESS)
        self._finish = scripts.load(redis, scripts.FINISH)
        self._release = scripts.load(redis, scripts.RELEASE)

    def start(self, claim: Claim) -> None:
        """Run a claim in a task of its own."""
        self.running[claim.token] = Running(claim)
        entry = self._run_job(claim.token, claim.attempt)
        task = asyncio.get_running_loop().create_task(entry, name=f"job {claim.job_id}")
        self._tasks[claim.token] = task
        task.add_done_callback(partial(self._ended, claim))

    def stop(self, token: str, why: Stop) -> None:
        """End an attempt. Once it has an outcome, the fence decides whether that still counts."""
        attempt = self.running.get(token)
        if attempt and attempt.stopped is None:
            attempt.stopped = why
            if attempt.performing:
                self._tasks[token].cancel()

    def mean_durations(self) -> dict[str, int]:
        """Milliseconds that completed jobs took by queue, on average since the last call."""
        durations, self._durations = self._durations, {}
        return {queue: round(1000 * sum(spent) / len(spent)) for queue, spent in durations.items()}

    async def report(self) -> None:
        """Wait for progress, and store the latest of each attempt."""
        await self._reported.wait()
        self._reported.clear()
        for attempt in list(self.running.values()):
            progress, attempt.progress = attempt.progress, None
            if progress:
                await self._progress(args=[attempt.claim.job_id, attempt.claim.token, progress.pack()])

    async def run(self, token: str) -> State | None:
        """Run the claim of a token; answers the state its job is in, None where that is another attempt's to say."""
        attempt, loop = self.running[token], asyncio.get_running_loop()
        began = loop.time()
        outcome = attempt.stopped or await self._stoppable(attempt)  # it may have been stopped before it began
        return await self._settle(attempt.claim, outcome, loop.time() - began)

    async def _stoppable(self, attempt: Running) -> Outcome | Again | Stop:
        """Perform in this very task, which `stop` may cancel for as long as that takes."""
        claim, task = attempt.claim, self._tasks[attempt.claim.token]
        log.debug("→ job", job_id=claim.job_id, kind=claim.kind, attempt=claim.attempt, principal=claim.principal)
        attempt.performing = True
        outcome: Outcome | Again | Stop
        try:
            outcome = await self._confirmed(attempt)
        except asyncio.CancelledError:
            outcome = Stop.DRAINED
        finally:
            attempt.performing = False
            while task.cancelling():  # met here; before 3.11.3 a timeout in a task still marked as cancelled cancels it
                task.uncancel()
        return attempt.stopped or outcome

    async def _confirmed(self, attempt: Running) -> Outcome | Again | Stop:
        claim = attempt.claim
        if claim.assigned and claim.allowed == 1 and not await self._confirm(claim):
            return Stop.LOST
        claim = attempt.claim = await self._loaded(claim)
        return await self._perform(claim, partial(self._note, attempt))

    async def _loaded(self, claim: Claim) -> Claim:
        if claim.payload is None:
            payload, named = await insist(partial(self._read, claim.job_id))
            claim = replace(claim, payload=payload or b"", references=codec.unpack(named) if named else None)
        # One execution too many is only claimed to be ended: its payload may be what ended the workers before.
        if not claim.kind and claim.payload and claim.tries <= claim.allowed:
            with contextlib.suppress(JobError):
                return replace(claim, kind=kind_of(claim.payload))
        return claim

    async def _read(self, job_id: str) -> tuple[bytes | None, bytes | None]:
        """The payload and the packed references of a job."""
        payload = self._redis.get(schema.PAYLOAD + job_id)
        return await asyncio.gather(payload, self._redis.hget(schema.RECORD + job_id, "references"))  # type: ignore[arg-type]  # one of both sorts of client

    async def _confirm(self, claim: Claim) -> bool:
        """Whether the job is still this worker's, and counts as executed from now on; False where Redis is away."""
        try:
            return bool(await self._begin(args=[claim.job_id, claim.token]))
        except AWAY as error:
            log.warning("an assigned job is left to other workers", job_id=claim.job_id, error=str(error))
            return False

    def _note(self, attempt: Running, progress: Progress) -> None:
        attempt.progress = progress
        self._reported.set()

    async def _settle(self, claim: Claim, outcome: Outcome | Again | Stop, took: float) -> State | None:
        match outcome:
            case Stop.LOST:
                log.warning("↯ lease lost, attempt dropped", job_id=claim.job_id, attempt=claim.attempt)
                self._claimer.due.set()  # the slot is free, which no script has seen
                return None
            case Stop.DRAINED | Again():
                state = State.QUEUED
                stored, rows = await insist(partial(self._requeue, claim, counted=isinstance(outcome, Again)))
            case _:
                ending: Outcome = Cancelled() if isinstance(outcome, Stop) else outcome
                state = ending.state
                stored, rows = await insist(partial(self._conclude, claim, ending))
                if isinstance(ending, Done):
                    self._durations.setdefault(claim.queue, []).append(took)
        for following in self._claimer.read(rows):
            self.start(following)
        if not stored:
            log.warning("late outcome dropped, another attempt owns the job", job_id=claim.job_id, state=state.value)
            return None
        log.info(
            "← job",
            job_id=claim.job_id,
            kind=claim.kind,
            state=state.value,
            attempt=claim.attempt,
            principal=claim.principal,
            seconds=round(took, 3),
        )
        return state

    async def _requeue(self, claim: Claim, *, counted: bool) -> Any:
        return await self._claimer(self._release, claim.job_id, claim.token, int(counted))

    async def _conclude(self, claim: Claim, outcome: Outcome) -> Any:
        queue = schema.queue_key(claim.queue)
        packed = pack_outcome(outcome, job_id=claim.job_id, kind=claim.kind, queue=queue, attempt=claim.attempt)
        keep = self._claimer.retention_ms
        return await self._claimer(self._finish, claim.job_id, claim.token, outcome.state.value, packed, keep)

    def _ended(self, claim: Claim, task: asyncio.Task[None]) -> None:
        self.running.pop(claim.token, None)
        self._tasks.pop(claim.token, None)
        if not task.cancelled() and (error := task.exception()):
            log.error(
                "outcome not stored; the lease lapses and the job is run again", job_id=claim.job_id, exc_info=error
            )


async def insist(send: Callable[[], Awaitable[Any]]) -> Any:
    """Send a command until Redis takes it, and answer its reply; the command must be safe to repeat.

    Raises:
        TimeoutError: Redis did not take it for `SETTLE_SECONDS`.
    """
    loop = asyncio.get_running_loop()
    delay, deadline = 0.05, loop.time() + SETTLE_SECONDS
    while True:
        try:
            return await send()  # which answers, or raises, within the connection's own bounds
        except AWAY as error:
            if loop.time() + delay > deadline:
                late = f"Redis took no outcome for {SETTLE_SECONDS} s"
                raise TimeoutError(late) from error
            log.warning("Redis does not take an outcome, trying again", error=str(error), delay=delay)
            await asyncio.sleep(delay)
            delay = min(1.0, delay * 2)
