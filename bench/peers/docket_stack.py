"""pydocket: results are pushed; its worker's checks are set to the 10 ms that its documentation uses."""

from __future__ import annotations

from datetime import timedelta

from docket import Docket, Worker  # type: ignore[import-not-found, unused-ignore]

from bench.peer import Peer

CHECK = timedelta(milliseconds=10)
SLOTS = 64


async def noop() -> None:
    """Do nothing."""


class DocketStack(Peer):
    """`Docket.add`, `Execution.get_result`."""

    async def work(self, redis_url: str, slots: int) -> None:  # noqa: ARG002 -- it needs many, they cost it nothing
        """Run its worker."""
        async with Docket(name="bench", url=redis_url) as docket:
            docket.register(noop)
            options = {"minimum_check_interval": CHECK, "scheduling_resolution": CHECK}
            async with Worker(docket, concurrency=SLOTS, **options) as worker:
                await worker.run_forever()

    async def open(self, target: str) -> None:
        self._docket = Docket(name="bench", url=target)
        await self._docket.__aenter__()
        self._docket.register(noop)

    async def close(self) -> None:
        await self._docket.__aexit__(None, None, None)

    async def noop(self) -> None:
        """Add it, and wait for the push."""
        execution = await self._docket.add(noop)()
        await execution.get_result(timeout=timedelta(seconds=30))


def peer(name: str) -> Peer:
    """The stack of that name."""
    return DocketStack(name)
