"""The ways to Redis that a deployment has: a user with few rights, TLS, and sentinels that change the primary."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis

from offloop import declare
from offloop.errors import Unavailable
from offloop.kinds.catalogue import Catalogue
from offloop.queue.client import Bounds, JobQueue, live_queues, new_id
from offloop.queue.record import Done, Outcome, Progress, State
from offloop.redis import schema
from offloop.redis.connection import connect
from offloop.redis.multiplexer import MultiplexedRedis
from offloop_workers.engine import dispatch
from offloop_workers.engine.claiming import Claim
from support.caller import Nothing
from support.certificates import certificate
from support.hosts.network import LOCAL, Node, tls_in_front_of
from support.serving import serving
from support.waiting import eventually

pytestmark = pytest.mark.anyio

BOUNDS = Bounds(retention_seconds=600, max_queued=100, max_queued_per_principal=100)
RIGHTS = "~arq:* ~offloop:* &arq:* &offloop:* +@all -@admin -@dangerous +info"
"""The grants in docs/operations.md."""


kind = declare("do_nothing", Nothing, Nothing, description="d", retries=3)


class Slow:
    """Work that reports progress, and ends when the test lets it."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.let = asyncio.Event()

    async def __call__(self, claim: Claim, on_progress: Callable[[Progress], None]) -> Outcome:
        on_progress(Progress(1, 2, claim.job_id))
        self.begun.set()
        await self.let.wait()
        return Done({"attempt": claim.attempt})


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the intervals of periodic work."""
    monkeypatch.setattr(dispatch, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(dispatch, "SWEEP_SECONDS", 0.1)


@pytest.fixture
def node(temporary: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Node]]:
    """Starts servers, and ends them after the test."""
    with ExitStack() as stack:

        def start(name: str, *options: str, sentinel: bool = False) -> Node:
            made = Node(temporary / f"{abs(hash(request.node.nodeid)):x}" / name, *options, sentinel=sentinel)
            stack.callback(made.kill)
            return made

        yield start


@asynccontextmanager
async def _open(url: str, *, retries: int = 4) -> AsyncIterator[ArqRedis]:
    redis = connect(url, retries=retries)
    try:
        yield redis
    finally:
        await redis.aclose(close_connection_pool=True)


def _kinds() -> Catalogue:
    return Catalogue([kind])


async def _submit(queue: JobQueue, **options: Any) -> str:
    options = {"principal": "alice", "job_id": new_id(), **options}
    return (await queue.submit(kind, Nothing(), **options)).record.job_id


async def _state(queue: JobQueue, job_id: str, *states: State) -> bool:
    try:
        return (await queue.get(job_id, principal="alice")).state in states
    except Unavailable:
        return False


async def _whole_life(url: str) -> None:
    """Submit, join, list, claim, report, finish; cancel in the queue and while it runs; take over what was lost."""
    slow = Slow()
    async with _open(url) as redis:
        queue = JobQueue(redis, BOUNDS, front_end="front")
        first = await _submit(queue, key="mine", wait_seconds=5)
        assert await _submit(queue, key="mine") == first
        cancelled = await _submit(queue)
        await queue.cancel(cancelled, principal="alice")
        async with serving(_kinds(), slow, url):
            await slow.begun.wait()
            await eventually(lambda: _progress(queue, first))
            slow.let.set()
            await eventually(lambda: _state(queue, first, State.COMPLETED))
            slow.let.clear()
            running = await _submit(queue)
            await eventually(lambda: _state(queue, running, State.RUNNING))
            await queue.cancel(running, principal="alice")
            await eventually(lambda: _state(queue, running, State.CANCELLED))
            lost = await _submit(queue)
            await eventually(lambda: _state(queue, lost, State.RUNNING))
            await redis.hset(schema.RECORD + lost, "token", "nobody:0")  # type: ignore[misc]
            await redis.zadd(schema.LEASES + "default", {lost: 1})
            slow.let.set()
            await eventually(lambda: _state(queue, lost, State.COMPLETED))
            assert await live_queues(redis) == {"default"}
        found = (await queue.jobs(principal="alice")).records
        assert {record.job_id for record in found} == {first, cancelled, running, lost}


async def _progress(queue: JobQueue, job_id: str) -> bool:
    return (await queue.get(job_id, principal="alice")).progress is not None


async def test_a_user_with_the_documented_rights_can_do_all_there_is(node: Callable[..., Node]) -> None:
    server = node("valkey", f"user offloop on >secret {RIGHTS}", "user default on nopass ~* &* +@all")
    await _whole_life(f"redis://offloop:secret@{LOCAL}:{server.port}")
    assert server.ask("ACL", "LOG") == []


async def test_a_user_with_fewer_rights_is_refused(node: Callable[..., Node]) -> None:
    """So the test above shows something: rights are checked inside the scripts as well."""
    few = RIGHTS.replace("~arq:*", "")
    server = node("valkey", f"user offloop on >secret {few}", "user default on nopass ~* &* +@all")
    async with _open(f"redis://offloop:secret@{LOCAL}:{server.port}") as redis:
        with pytest.raises(Exception, match="key"):
            await _submit(JobQueue(redis, BOUNDS))


async def test_tls_carries_everything_where_the_certificate_is_known(node: Callable[..., Node], tmp_path: Path) -> None:
    trusted, key = certificate(tmp_path, "localhost")
    server = node("valkey")
    async with tls_in_front_of(server.port, trusted, key) as port:
        await _whole_life(f"rediss://localhost:{port}?ssl_ca_certs={trusted}")


@pytest.mark.parametrize("name", ["localhost", "elsewhere.example"])
async def test_tls_with_an_unknown_certificate_or_another_name_is_refused(
    node: Callable[..., Node], tmp_path: Path, name: str
) -> None:
    """Known but made for another host, or made for this host but not known: neither is talked to."""
    trusted, key = certificate(tmp_path, name)
    known = f"?ssl_ca_certs={trusted}" if name != "localhost" else ""
    server = node("valkey")
    async with (
        tls_in_front_of(server.port, trusted, key) as port,
        _open(f"rediss://localhost:{port}{known}", retries=0) as redis,
    ):
        with pytest.raises(Unavailable) as refused:
            await _submit(JobQueue(redis, BOUNDS))
        assert "certificate verify failed" in str(refused.value.__cause__)
    assert server.ask("DBSIZE") == 0


@pytest.mark.slow  # sentinels find each other by messages that they send every two seconds
async def test_a_new_primary_is_found_and_what_was_replicated_is_done(node: Callable[..., Node]) -> None:
    """One job runs and one waits when the primary is killed; both end at the replica that takes its place."""
    primary = node("primary")
    replica = node("replica", f"replicaof {LOCAL} {primary.port}")
    sentinels = [node(f"sentinel{number}", *_watching(primary), sentinel=True) for number in range(3)]
    await eventually(lambda: _watched(sentinels), seconds=30)
    names = ",".join(f"{LOCAL}:{sentinel.port}" for sentinel in sentinels)
    url = f"redis+sentinel://{names}/main"
    slow = Slow()
    async with _open(url) as redis, serving(_kinds(), slow, url, slots=1):
        queue = JobQueue(redis, BOUNDS)
        running = await _submit(queue)
        await slow.begun.wait()
        waiting = await _submit(queue)
        assert isinstance(redis, MultiplexedRedis)
        await redis.multiplexer.call(("WAIT", 1, 5000))  # of what this very connection has written
        primary.kill()
        slow.let.set()
        for job_id in (running, waiting):
            await eventually(lambda job_id=job_id: _state(queue, job_id, State.COMPLETED), seconds=60)  # type: ignore[misc]
        assert isinstance((await queue.get(running, principal="alice")).outcome, Done)
        later = await _submit(queue)
        await eventually(lambda: _state(queue, later, State.COMPLETED))
    assert replica.ask("ROLE")[0] == b"master"  # type: ignore[index]


def _watching(primary: Node) -> list[str]:
    return [
        f"sentinel monitor main {LOCAL} {primary.port} 2",
        "sentinel down-after-milliseconds main 1000",
        "sentinel failover-timeout main 5000",
    ]


async def _watched(sentinels: list[Node]) -> bool:
    """Whether each sentinel knows the replica and the other two."""
    for sentinel in sentinels:
        fields: Any = sentinel.ask("SENTINEL", "MASTER", "main")
        found = dict(zip(fields[::2], fields[1::2], strict=True))
        if (found[b"num-slaves"], found[b"num-other-sentinels"]) != (b"1", b"2"):
            return False
    return True
