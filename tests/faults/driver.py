"""Driver of a fault-injection run: load and faults together, then a check of the history."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from faults.cluster import KINDS, PRINCIPAL, Cluster
from faults.history import TERMINAL, History, Violation, check
from faults.injector import FaultInjector
from faults.load import Load
from offloop.errors import NotFound, Unavailable
from offloop.queue.record import Record
from support.waiting import eventually

T = TypeVar("T")

SETTLE_SECONDS = 90.0
"""Time limit of the last jobs after the last fault."""
_SHOWN = 5
_LINES = 40


@dataclass(frozen=True)
class Report:
    """Result of a run.

    Attributes:
        summary: counts and times in one line.
        violations: violated guarantees.
        evidence: observations and log lines of the first affected jobs.
    """

    summary: str
    violations: list[Violation]
    evidence: str


async def run(*, jobs: int, seconds: float, seed: int) -> Report:
    """Submit `jobs` jobs to a new cluster over about `seconds` while faults are injected."""
    begun = time.monotonic()
    history = History()
    async with Cluster() as cluster:
        injector = FaultInjector(cluster, seed)
        await injector.set_up()
        load = Load(cluster, history, jobs=jobs, seconds=seconds, seed=seed)
        over = asyncio.Event()

        async def work() -> None:
            try:
                await load.run()
            finally:
                over.set()

        async with asyncio.TaskGroup() as both:
            both.create_task(work())
            both.create_task(injector.run(over))
        await _settle(cluster, history)
        executions = cluster.executions()
        runs = {
            job_id: [attempt for attempt, times in found.items() for _ in times] for job_id, found in executions.items()
        }
        violations = check(history, KINDS, runs)
        recoveries = [
            min(later) - killed
            for job_id, killed in injector.orphans
            if (later := [at for times in executions.get(job_id, {}).values() for at in times if at > killed])
        ]
        summary = _summary(history, violations, injector.faults, {"recovery": recoveries, "cancel": load.cancels})
        evidence = _evidence(cluster, history, violations)
    return Report(f"seed {seed}, {time.monotonic() - begun:.0f} s: {summary}", violations, evidence)


async def _settle(cluster: Cluster, history: History) -> None:
    """Wait, with a time limit, for the end of every job; then read each job by its id and in the list."""
    end = time.monotonic() + SETTLE_SECONDS
    open_ids = set(history.accepted)
    while open_ids and time.monotonic() < end:
        await _read(cluster, history, sorted(open_ids))
        open_ids = {job_id for job_id in open_ids if history.last(job_id).state not in {*TERMINAL, "unknown"}}
        await asyncio.sleep(0.2)
    with contextlib.suppress(AssertionError):  # jobs that have not ended are reported by the check
        await eventually(lambda: _all_listed_ended(cluster), "all end", max(1.0, end - time.monotonic()))
    await _read(cluster, history, sorted(history.accepted))
    listed, cursor = set(), None
    requested = time.monotonic()
    while True:
        page = await _answered(partial(cluster.queue.jobs, principal=PRINCIPAL, limit=100, cursor=cursor))
        for record in page.records:
            history.observe("list", requested, record)
            listed.add(record.job_id)
        if (cursor := page.cursor) is None:
            break
    for job_id in set(history.accepted) - listed:
        history.observe_missing("list", requested, job_id)


async def _read(cluster: Cluster, history: History, job_ids: list[str]) -> None:
    for start in range(0, len(job_ids), 50):
        requested, some = time.monotonic(), job_ids[start : start + 50]
        answers = await asyncio.gather(*(_found(cluster, job_id) for job_id in some))
        for job_id, answer in zip(some, answers, strict=True):
            if answer is None:
                history.observe_missing("final read", requested, job_id)
            else:
                history.observe("final read", requested, answer)


async def _found(cluster: Cluster, job_id: str) -> Record | None:
    """The record, or None without one."""
    try:
        return await _answered(lambda: cluster.get(job_id))
    except NotFound:
        return None


async def _answered(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer of Redis, which is asked again while it does not answer in time: the machine may be busy."""
    end = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            return await ask()
        except Unavailable:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.2)


async def _all_listed_ended(cluster: Cluster) -> bool:
    """Whether all jobs have ended, including those whose id no client received."""
    page = await _answered(partial(cluster.queue.jobs, principal=PRINCIPAL, limit=1000))
    return all(record.state.terminal for record in page.records)


def _summary(history: History, violations: list[Violation], faults: Counter[str], times: dict[str, list[float]]) -> str:
    lasts = [history.last(job_id) for job_id in history.accepted]
    states = Counter(last.state for last in lasts)
    broken = Counter(violation.rule for violation in violations)
    observations = sum(map(len, history.observations.values()))
    parts = [
        f"{len(lasts)} jobs ({', '.join(f'{count} {state}' for state, count in states.most_common())})",
        f"{observations} answers",
        f"{faults.total()} faults ({', '.join(f'{count} {name}' for name, count in faults.most_common())})",
        f"{sum(max(0, last.attempt - 1) for last in lasts)} retries",
        f"{broken.pop('lost', 0)} lost",
        f"{broken.pop('terminal flip', 0)} terminal flips",
        f"{broken.pop('stale write', 0)} stale writes accepted",
        f"{broken.total()} other violations" + (f" ({dict(broken)})" if broken else ""),
        *(f"{name} {_percentiles(found)}" for name, found in times.items()),
    ]
    return "; ".join(parts)


def _percentiles(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return f"too few samples ({len(seconds)})"
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return f"p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms (of {len(seconds)})"


def _evidence(cluster: Cluster, history: History, violations: list[Violation]) -> str:
    parts = []
    for violation in violations[:_SHOWN]:
        logged = [
            f"  {process.name}: {line}"
            for process in (*cluster.workers, *cluster.front_ends)
            for line in process.output.splitlines()
            if violation.job_id in line
        ]
        parts += [str(violation), history.describe(violation.job_id), *logged[-_LINES:]]
    return "\n".join(parts)


def main() -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tests/faults", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1200, help="number of jobs to submit")
    parser.add_argument("--seconds", type=float, default=60, help="duration of the load, if the cluster keeps up")
    parser.add_argument("--seed", type=int, default=7, help="determines the jobs and the order of the faults")
    options = parser.parse_args()
    print(f"seed {options.seed}: {options.jobs} jobs in about {options.seconds:g} s", flush=True)  # noqa: T201 -- a command's output
    report = asyncio.run(run(jobs=options.jobs, seconds=options.seconds, seed=options.seed))
    print(report.evidence, report.summary, sep="\n")  # noqa: T201 -- a command's output
    return 1 if report.violations else 0
