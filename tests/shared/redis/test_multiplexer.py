"""One connection for all commands: order, cancellation, loss, silence and large values."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from offloop.processes.embedded_redis import EmbeddedRedis
from offloop.redis import multiplexer as pipe
from offloop.redis.connection import connect
from offloop.redis.lua import Script
from offloop.redis.multiplexer import MultiplexedRedis

pytestmark = pytest.mark.anyio


async def _say(redis: ArqRedis, *command: str | bytes | int) -> Any:
    """The reply to one command, as the pipe gives it."""
    assert isinstance(redis, MultiplexedRedis)
    return await redis.execute_command(*command)


async def _echo(redis: ArqRedis, value: str | bytes) -> Any:
    return await _say(redis, "ECHO", value)


async def _connections(redis: ArqRedis) -> int:
    """Number of connections to the server, this one included."""
    return len(await redis.client_list())


async def test_many_callers_share_one_connection_and_each_gets_its_own_reply(redis: ArqRedis) -> None:
    before = await _connections(redis)
    replies = await asyncio.gather(*(_echo(redis, f"{number}") for number in range(500)))
    assert replies == [b"%d" % number for number in range(500)]
    assert await _connections(redis) == before


async def test_a_reply_has_the_form_that_redis_py_gives_it(redis: ArqRedis) -> None:
    await _say(redis, "HSET", "offloop:job:a", "x", 1)
    await redis.pexpire("offloop:job:a", 60_000)
    assert await _say(redis, "HGETALL", "offloop:job:a") == {b"x": b"1"}
    assert isinstance((await redis.info())["redis_version"], str)
    assert await redis.exists("offloop:job:b") == 0


async def test_a_refusal_reaches_only_its_caller(redis: ArqRedis) -> None:
    calls = (("ECHO", "a"), ("INCRBY", "offloop:none", "x"), ("EVALSHA", "0" * 40, 0), ("ECHO", "b"))
    echoed, refused, unknown, after = await asyncio.gather(
        *(_say(redis, *call) for call in calls), return_exceptions=True
    )
    assert (echoed, after) == (b"a", b"b")
    assert isinstance(refused, ResponseError)
    assert isinstance(unknown, NoScriptError)


async def test_a_caller_that_leaves_takes_nothing_with_it(redis: ArqRedis) -> None:
    """The connection stays, and the reply it did not wait for reaches no other caller."""
    await _echo(redis, "warm")
    number = await redis.client_id()
    leaving = [asyncio.create_task(_echo(redis, f"left {n}")) for n in range(50)]
    staying = [asyncio.create_task(_echo(redis, f"stays {n}")) for n in range(50)]
    await asyncio.sleep(0)  # all have been sent
    for task in leaving:
        task.cancel()
    assert await asyncio.gather(*staying) == [b"stays %d" % n for n in range(50)]
    assert await redis.client_id() == number


async def test_large_values_go_both_ways_beside_small_ones(redis: ArqRedis) -> None:
    """Far more than the transport's write buffer holds."""
    big = os.urandom(6_000_000)
    replies = await asyncio.gather(*(_echo(redis, value) for value in (big, b"a", big, b"b", big)))
    assert replies == [big, b"a", big, b"b", big]


async def test_commands_are_sent_again_after_the_server_was_killed(tmp_path: Path) -> None:
    async with EmbeddedRedis(tmp_path / "own") as server:
        redis = connect(server.url, retries=30)
        await _echo(redis, "a")
        before = server.pid
        assert before
        os.kill(before, signal.SIGKILL)
        async with asyncio.timeout(30):
            assert await asyncio.gather(*(_echo(redis, f"{n}") for n in range(20))) == [b"%d" % n for n in range(20)]
        assert server.pid != before
        await redis.aclose(close_connection_pool=True)


async def test_a_frozen_server_is_given_up_after_a_bound_and_works_again_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe, "SILENT_SECONDS", 0.2)
    async with EmbeddedRedis(tmp_path / "own") as server:
        redis = connect(server.url, retries=0)
        await _echo(redis, "a")
        assert server.pid
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(RedisTimeoutError, match="no reply for"):
                await _echo(redis, "b")
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert await _echo(redis, "c") == b"c"
        await redis.aclose(close_connection_pool=True)


async def test_a_client_can_be_closed_twice_and_used_again(valkey: str) -> None:
    redis = connect(valkey)
    await _echo(redis, "a")
    await redis.aclose(close_connection_pool=True)
    await redis.aclose(close_connection_pool=True)
    assert await _echo(redis, "b") == b"b"
    await redis.aclose(close_connection_pool=True)


async def test_a_script_that_the_server_forgets_again_and_again_is_run_all_the_same(redis: ArqRedis) -> None:
    script = Script(redis, "return ARGV[1] .. KEYS[1]")
    for number in range(20):
        _, echoed = await asyncio.gather(redis.script_flush(), script(keys=["b"], args=[number]))
        assert echoed == b"%db" % number


REFUSED = {
    "connect_blocking": [
        *("BLPOP a 1", "BRPOP a 1", "BRPOPLPUSH a b 1", "BLMOVE a b LEFT LEFT 1", "BLMPOP 1 1 a LEFT", "WAITAOF 1 0 0"),
        *("BZPOPMIN a 1", "BZPOPMAX a 1", "BZMPOP 1 1 a MIN", "XREAD BLOCK 0 STREAMS a 0", "WAIT 1 0"),
        *("XREADGROUP GROUP g c COUNT 1 BLOCK 0 STREAMS a >", "blpop a 1"),
    ],
    "Subscriber": [
        *(
            "SUBSCRIBE a",
            "PSUBSCRIBE a",
            "SSUBSCRIBE a",
            "UNSUBSCRIBE a",
            "PUNSUBSCRIBE a",
            "SUNSUBSCRIBE a",
            "MONITOR",
        ),
    ],
    "pipeline": ["MULTI", "EXEC", "DISCARD", "WATCH a", "UNWATCH"],
    "OFFLOOP_REDIS_URL": ["SELECT 1", "AUTH a", "HELLO 3", "RESET", "QUIT"],
}


@pytest.mark.parametrize(("command", "instead"), [(each, name) for name, all_ in REFUSED.items() for each in all_])
async def test_a_command_that_would_stall_or_change_the_shared_connection_is_refused(
    redis: ArqRedis, command: str, instead: str
) -> None:
    name, *rest = command.split()
    with pytest.raises(ValueError, match=f"^{name.upper()} is refused .* all tasks share: .*{instead}"):
        await _say(redis, name, *rest)
    assert await _echo(redis, "a") == b"a"


@pytest.mark.parametrize(
    "command",
    [
        ("BLPOP a 1",),
        (b"BLPOP", b"a", 1),
        ("CLIENT", "REPLY", "OFF"),
        (b"client", b"reply", b"off"),
        ("CLIENT  REPLY", "OFF"),
        ("CLIENT", "TRACKING", "ON"),
        ("XREAD BLOCK 0 STREAMS a 0",),
        ("SYNC",),
        ("PSYNC", "?", "-1"),
    ],
    ids=str,
)
async def test_a_command_is_refused_however_it_is_written(redis: ArqRedis, command: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="is refused"):
        await _say(redis, *command)
    assert await _say(redis, b"ECHO", b"a") == b"a"


async def test_redis_pys_own_methods_are_refused_as_well(redis: ArqRedis) -> None:
    with pytest.raises(ValueError, match="BLPOP"):
        await redis.blpop(["a"], 1)  # type: ignore[misc]
    with pytest.raises(ValueError, match="XREAD"):
        await redis.xread({"a": "0"}, block=1)
    with pytest.raises(ValueError, match="CLIENT REPLY"):
        await redis.client_reply("OFF")


async def test_a_stream_may_be_read_without_blocking_whatever_it_is_called(redis: ArqRedis) -> None:
    assert await redis.xread({"BLOCK": "0"}) in ([], {})


async def test_transactions_and_subscriptions_have_connections_of_their_own(redis: ArqRedis) -> None:
    async with redis.pipeline(transaction=True) as pipeline:
        await pipeline.watch("a")
        pipeline.multi()  # type: ignore[no-untyped-call]
        pipeline.set("a", 1, ex=60)
        assert await pipeline.execute() == [True]
    async with redis.pubsub() as channel:
        await channel.subscribe("a")
        assert await channel.get_message(timeout=30)
