"""Fault injector: random faults, one series for processes and a concurrent one for the job store."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from redis.exceptions import RedisError

from faults.cluster import Cluster, ClusterProcess
from faults.proxy import Mode
from support.processes import kill_pid

MODES: Final = (Mode.REFUSE, Mode.FREEZE, Mode.RESET, Mode.DELAY, Mode.TRICKLE, Mode.HALF_OPEN)
SLOTS: Final = 4
"""Slots of each worker; most jobs sleep."""


class FaultInjector:
    """Injects faults into a cluster.

    Args:
        cluster: the cluster.
        seed: determines the order and the duration of the faults.

    Attributes:
        faults: number of injected faults by name.
        orphans: jobs that a killed worker held, with the time of the kill.
    """

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self._cluster = cluster
        self._seed = seed
        self.faults: Counter[str] = Counter()
        self.orphans: list[tuple[str, float]] = []

    async def set_up(self) -> None:
        """Start the workers and front ends."""
        await asyncio.gather(
            self._cluster.worker(slots=SLOTS),
            self._cluster.worker(slots=SLOTS, via_proxy=True),
            self._cluster.worker(slots=SLOTS, skewed=True),
            self._cluster.front_end(),
            self._cluster.front_end(via_proxy=True),
        )

    async def run(self, over: asyncio.Event) -> None:
        """Inject faults until `over` is set; every fault is reverted."""
        async with asyncio.TaskGroup() as series:
            series.create_task(
                self._series(
                    "processes", over, [self._kill, self._kill, self._stop, self._roll, self._unfork, self._front]
                )
            )
            series.create_task(
                self._series("store", over, [self._restart, self._freeze, self._network, self._network, self._hints])
            )

    async def _series(
        self, name: str, over: asyncio.Event, faults: list[Callable[[random.Random], Awaitable[None]]]
    ) -> None:
        chance = random.Random(f"{self._seed}:{name}")  # noqa: S311 -- repeatable by its seed
        while not over.is_set():
            await chance.choice(faults)(chance)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), chance.uniform(0.3, 2.0))

    # --- processes ---

    def _a_worker(self, chance: random.Random) -> ClusterProcess:
        return chance.choice([process for process in self._cluster.workers if process.running])

    async def _kill(self, chance: random.Random) -> None:
        """Kill a worker and start another, as a supervisor does."""
        worker = self._a_worker(chance)
        with contextlib.suppress(RedisError, OSError):
            held = await self._cluster.held_by(worker)
            self.orphans += [(job_id, time.time()) for job_id in held]
        worker.kill()
        self.faults["worker killed"] += 1
        await self._cluster.worker(slots=SLOTS, via_proxy=worker.via_proxy)

    async def _stop(self, chance: random.Random) -> None:
        """Stop a worker with SIGSTOP for longer than its lease."""
        worker = self._a_worker(chance)
        self.faults["worker paused"] += 1
        worker.signal(signal.SIGSTOP)
        await asyncio.sleep(chance.uniform(4.5, 7.0))
        worker.signal(signal.SIGCONT)

    async def _roll(self, chance: random.Random) -> None:
        """Replace a worker gracefully."""
        worker = self._a_worker(chance)
        self.faults["worker replaced"] += 1
        await self._cluster.worker(slots=SLOTS, via_proxy=worker.via_proxy)
        worker.signal(signal.SIGTERM)
        await worker.ended(40)

    async def _unfork(self, chance: random.Random) -> None:
        """Kill a worker's zygote, and thereby all its children."""
        self.faults["zygote killed"] += 1
        for pid in self._a_worker(chance).descendants[:1]:
            kill_pid(pid)

    async def _front(self, chance: random.Random) -> None:
        """Kill a front end and start another, with retries while Redis is down."""
        living = [process for process in self._cluster.front_ends if process.running]
        process = chance.choice(living)
        process.kill()
        self.faults["front end killed"] += 1
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(AssertionError):
                    await self._cluster.front_end(via_proxy=process.via_proxy)
                    return

    # --- the store ---

    async def _restart(self, chance: random.Random) -> None:
        """Kill the Valkey and restart it on its data."""
        self.faults["Valkey killed"] += 1
        self._cluster.valkey.kill()
        await asyncio.sleep(chance.uniform(0.0, 2.0))
        await self._cluster.start_valkey()

    async def _freeze(self, chance: random.Random) -> None:
        """Stop the Valkey with SIGSTOP, sometimes for longer than a lease."""
        self.faults["Valkey frozen"] += 1
        self._cluster.valkey.freeze()
        await asyncio.sleep(chance.uniform(0.3, 6.5))
        self._cluster.valkey.thaw()

    async def _network(self, chance: random.Random) -> None:
        """Inject a network fault at the proxy."""
        mode = chance.choice(MODES)
        self.faults[f"network {mode.name.lower()}"] += 1
        await self._cluster.proxy.set(mode)
        await asyncio.sleep(chance.uniform(0.3, 5.0))
        await self._cluster.proxy.set(Mode.CALM)

    async def _hints(self, chance: random.Random) -> None:
        """Delete the advertised free slots, flush the scripts, or close all connections of one type."""
        redis = self._cluster.redis
        fault = chance.choice(["free slots forgotten", "scripts forgotten", "connections cut"])
        self.faults[fault] += 1
        with contextlib.suppress(RedisError, OSError):
            match fault:
                case "free slots forgotten":
                    await self._cluster.forget_free_slots()
                case "scripts forgotten":
                    await redis.script_flush()
                case _:
                    await redis.execute_command("CLIENT", "KILL", "TYPE", chance.choice(["normal", "pubsub"]))  # type: ignore[no-untyped-call]
