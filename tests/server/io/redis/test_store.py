"""query_redis against a real Valkey: every command, bounded floods, wrong types, failures in words."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from arq.connections import ArqRedis
from redis.asyncio import Redis

from offloop.errors import BadInput, Busy, LimitExceeded, Unavailable
from offloop_server.io.deadline import Deadline
from offloop_server.io.redis.commands import COMMANDS
from offloop_server.io.redis.guard import Keyspace
from offloop_server.io.redis.session import Meter, Session
from offloop_server.io.redis.store import RedisStore
from offloop_server.io.results.rows import Rows
from support.sources import SourceTools, source_tools
from support.stack.valkey import Valkey

pytestmark = pytest.mark.anyio

MIB = 1 << 20


def url(valkey: str, *prefixes: str, db: int = 1) -> str:
    """URL of a source beside the queue, which is database 0 of the same server."""
    return f"{valkey}?db={db}" + "".join(f"&prefix={prefix}" for prefix in prefixes)


@pytest.fixture
async def writer(redis: ArqRedis, valkey: str) -> AsyncIterator[Any]:  # noqa: ARG001 -- flushes the server before
    """A client that fills the source."""
    async with Redis.from_url(url(valkey)) as client:
        yield client


@pytest.fixture
async def tools(redis: ArqRedis, valkey: str, tmp_path: Path) -> AsyncIterator[SourceTools]:
    """The tools of a source whose readable keys begin with ``shop:``."""
    async with source_tools(redis, tmp_path, source_shop=url(valkey, "shop:")) as made:
        yield made


async def execute(redis: Any, *command: str | bytes) -> None:
    """Send an operator's command."""
    await redis.execute_command(*command)


async def send(tools: SourceTools, command: str, *arguments: Any, **caps: Any) -> list[dict[str, Any]]:
    """The rows of a command."""
    return await tools.rows("query_redis", command=command, arguments=list(arguments), **caps)


async def value(tools: SourceTools, command: str, *arguments: Any) -> Any:
    """The only value of a command."""
    [row] = await send(tools, command, *arguments)
    return row["value"]


async def test_strings_and_bits(tools: SourceTools, writer: Any) -> None:
    await writer.set("shop:a", "one", ex=1000)
    await writer.set("shop:raw", b"\xff\x00")
    await writer.set("shop:empty", "")
    assert await value(tools, "GET", "shop:a") == "one"
    assert await value(tools, "get", "shop:raw") == {"base64": "/wA="}
    assert await value(tools, "GET", "shop:empty") == ""
    assert await value(tools, "GET", "shop:none") is None
    assert await value(tools, "GET", {"base64": "c2hvcDph"}) == "one"
    assert await send(tools, "MGET", "shop:a", "shop:none") == [
        {"key": "shop:a", "value": "one"},
        {"key": "shop:none", "value": None},
    ]
    assert await value(tools, "STRLEN", "shop:a") == 3
    assert await value(tools, "GETRANGE", "shop:a", 1, -1) == "ne"
    assert await value(tools, "EXISTS", "shop:a", "shop:none") == 1
    assert await value(tools, "TYPE", "shop:a") == "string"
    assert 990 < await value(tools, "TTL", "shop:a") <= 1000
    assert await value(tools, "PTTL", "shop:none") == -2
    assert await value(tools, "EXPIRETIME", "shop:empty") == -1
    assert [await value(tools, name, "shop:raw", *rest) for name, *rest in (("BITCOUNT",), ("GETBIT", 0))] == [8, 1]
    assert await value(tools, "BITPOS", "shop:raw", 0) == 8


async def test_hashes(tools: SourceTools, writer: Any) -> None:
    await writer.hset("shop:h", mapping={"name": "tea", "price": "3.5", b"\xff": b"\xfe"})
    everything = {str(row["field"]): row["value"] for row in await send(tools, "HGETALL", "shop:h")}
    assert everything == {"name": "tea", "price": "3.5", "{'base64': '/w=='}": {"base64": "/g=="}}
    assert await send(tools, "HSCAN", "shop:h", "MATCH", "na*") == [{"field": "name", "value": "tea"}]
    assert await value(tools, "HGET", "shop:h", "name") == "tea"
    assert await send(tools, "HMGET", "shop:h", "price", "none") == [
        {"field": "price", "value": "3.5"},
        {"field": "none", "value": None},
    ]
    found = [
        await value(tools, name, "shop:h", *rest) for name, *rest in (("HLEN",), ("HSTRLEN", "name"), ("HEXISTS", "x"))
    ]
    assert found == [3, 3, 0]
    assert await send(tools, "HGETALL", "shop:none") == []


async def test_lists(tools: SourceTools, writer: Any) -> None:
    await writer.rpush("shop:l", *range(5000))
    assert await send(tools, "LRANGE", "shop:l", 1, 2) == [{"index": 1, "value": "1"}, {"index": 2, "value": "2"}]
    assert [row["index"] for row in await send(tools, "LRANGE", "shop:l", -2, -1)] == [4998, 4999]
    assert await send(tools, "LRANGE", "shop:l", 5, 1) == []
    assert await send(tools, "LRANGE", "shop:none", 0, -1) == []
    rows = await send(tools, "LRANGE", "shop:l", 0, -1, max_rows=1000)
    assert [int(row["value"]) for row in rows] == list(range(1000))
    assert [await value(tools, "LINDEX", "shop:l", -1), await value(tools, "LLEN", "shop:l")] == ["4999", 5000]


async def test_sets(tools: SourceTools, writer: Any) -> None:
    await writer.sadd("shop:s", *range(500))
    rows = await send(tools, "SMEMBERS", "shop:s", max_rows=1000)
    assert {int(row["member"]) for row in rows} == set(range(500))
    assert await send(tools, "SSCAN", "shop:s", "MATCH", "499") == [{"member": "499"}]
    assert [await value(tools, "SCARD", "shop:s"), await value(tools, "SISMEMBER", "shop:s", 5)] == [500, 1]


async def test_sorted_sets(tools: SourceTools, writer: Any) -> None:
    await writer.zadd("shop:z", {f"m{number:04}": number / 2 for number in range(2000)})
    first = await send(tools, "ZRANGE", "shop:z", 0, 1, "WITHSCORES")
    assert first == [{"member": "m0000", "score": 0}, {"member": "m0001", "score": 0.5}]
    assert [row["member"] for row in await send(tools, "ZRANGE", "shop:z", 0, 0, "rev")] == ["m1999"]
    assert [row["score"] for row in await send(tools, "ZRANGE", "shop:z", "(1", "+inf", "BYSCORE", "LIMIT", 0, 2)] == [
        1.5,
        2,
    ]
    assert [row["score"] for row in await send(tools, "ZRANGE", "shop:z", 1, 0, "BYSCORE", "REV")] == [1, 0.5, 0]
    assert await send(tools, "ZRANGE", "shop:z", "[m0001", "(m0003", "BYLEX") == [
        {"member": "m0001"},
        {"member": "m0002"},
    ]
    assert len(await send(tools, "ZRANGE", "shop:z", 0, -1, max_rows=1000)) == 1000
    assert await send(tools, "ZSCAN", "shop:z", "MATCH", "m1999") == [{"member": "m1999", "score": 999.5}]
    found = [
        await value(tools, name, "shop:z", *rest) for name, *rest in (("ZCARD",), ("ZCOUNT", 0, 1), ("ZRANK", "m0001"))
    ]
    assert found == [2000, 3, 1]
    assert await value(tools, "ZSCORE", "shop:z", "m0001") == "0.5"
    assert await value(tools, "ZREVRANK", "shop:z", "none") is None


async def test_streams(tools: SourceTools, writer: Any) -> None:
    for number in range(1, 31):
        await writer.xadd("shop:x", {"n": number}, id=f"{number}-0")
    rows = await send(tools, "XRANGE", "shop:x", "-", "+")
    assert [row["id"] for row in rows] == [f"{number}-0" for number in range(1, 31)]
    assert rows[0]["fields"] == {"n": "1"}
    await execute(writer, "XADD", "shop:odd", "1-0", "a", "1", "a", "2")
    await execute(writer, "XADD", "shop:odd", "2-0", b"\xff", b"\xfe")
    assert [row["fields"] for row in await send(tools, "XRANGE", "shop:odd", "-", "+")] == [
        [["a", "1"], ["a", "2"]],
        [[{"base64": "/w=="}, {"base64": "/g=="}]],
    ]
    newest = await send(tools, "XREVRANGE", "shop:x", "+", "-", max_rows=20)
    assert [row["fields"]["n"] for row in newest] == [str(number) for number in range(30, 10, -1)]
    assert await value(tools, "XLEN", "shop:x") == 30


async def test_places(tools: SourceTools, writer: Any) -> None:
    await writer.geoadd("shop:g", [13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania"])
    nearest = await send(tools, "GEOSEARCH", "shop:g", "FROMLONLAT", 15, 37, "BYRADIUS", 200, "km", "ASC")
    assert [(row["member"], round(row["distance"])) for row in nearest] == [("Catania", 56), ("Palermo", 190)]
    [palermo, unknown] = await send(tools, "GEOPOS", "shop:g", "Palermo", "Rome")
    assert (round(palermo["longitude"], 3), unknown["latitude"]) == (13.361, None)
    assert await value(tools, "GEODIST", "shop:g", "Palermo", "Catania", "km") == "166.2742"
    with pytest.raises(BadInput, match="takes no COUNT"):
        await send(tools, "GEOSEARCH", "shop:g", "FROMMEMBER", "Rome", "BYRADIUS", 1, "m", "COUNT", 5)


async def test_a_scan_returns_each_allowed_key_once(redis: ArqRedis, valkey: str, writer: Any, tmp_path: Path) -> None:
    keys = {f"shop:{number}" for number in range(3000)}
    await writer.mset(
        dict.fromkeys([*keys, *(f"other:{n}" for n in range(3000)), "s*p:1", "arq:job:1", "offloop:job:1"], 1)
    )
    prefixes = ("shop:", "shop:1", "s%2Ap:")
    async with source_tools(redis, tmp_path, source_shop=url(valkey, *prefixes)) as tools:
        answer = await tools.call("query_redis", command="SCAN", max_rows=100_000, save=True, format="json")
        assert answer["row_count"] == 3001
        assert (await tools.call("query_redis", command="SCAN"))["truncated_by"] == "rows"
        for pattern in ("*", "shop:?", "[so]*"):
            rows = await send(tools, "SCAN", "MATCH", pattern, max_rows=1000)
            assert {row["key"] for row in rows} <= {*keys, "s*p:1"}
        assert await send(tools, "SCAN", "MATCH", "other:*") == []
        assert await send(tools, "SCAN", "TYPE", "hash") == []
        with pytest.raises(BadInput, match="at most 500 bytes, and 20 stars"):
            await send(tools, "SCAN", "MATCH", "*a" * 21)
        for options in (("MATCH",), (0, "MATCH", "*"), ("COUNT", 5)):
            with pytest.raises(BadInput, match="no option here"):
                await send(tools, "SCAN", *options)
    async with source_tools(redis, tmp_path, source_shop=url(valkey, "*")) as tools:
        assert await send(tools, "SCAN", "MATCH", "*job*") == []
        assert await send(tools, "SCAN", "MATCH", "s[*]p*") == [{"key": "s*p:1"}]


async def test_the_queue_itself_is_not_readable_although_every_key_is_allowed(
    redis: ArqRedis, valkey: str, tmp_path: Path
) -> None:
    await redis.set("offloop:secrets:alice", "very-secret", ex=60)
    await redis.set("arq:job:1", "very-secret", ex=60)
    await redis.set("mine", "1", ex=60)
    async with source_tools(redis, tmp_path, source_own=url(valkey, "*", db=0)) as tools:
        assert await value(tools, "GET", "mine") == "1"
        for key in ("offloop:secrets:alice", "arq:job:1"):
            for command in ("GET", "TYPE", "EXISTS", "STRLEN", "TTL"):
                with pytest.raises(BadInput, match="hold offloop's own data"):
                    await send(tools, command, key)
        assert {row["key"] for row in await send(tools, "SCAN", "MATCH", "*")} == {"mine"}


@pytest.mark.slow
async def test_a_flood_stops_at_the_caps_in_time(tools: SourceTools, writer: Any) -> None:
    """A million fields, members and elements: the answer has a hundred, and is as quick as one of a small key."""
    for start in range(0, 1_000_000, 50_000):
        numbers = range(start, start + 50_000)
        pipeline = writer.pipeline(transaction=False)
        pipeline.hset("shop:h", mapping=dict.fromkeys(numbers, "x"))
        pipeline.rpush("shop:l", *numbers)
        await pipeline.execute()
    begun = time.monotonic()
    for command in (("HGETALL", "shop:h"), ("LRANGE", "shop:l", 0, -1), ("HSCAN", "shop:h")):
        answer = await tools.call("query_redis", command=command[0], arguments=list(command[1:]))
        assert (answer["row_count"], answer["truncated_by"]) == (100, "rows")
        answer = await tools.call(
            "query_redis", command=command[0], arguments=list(command[1:]), max_rows=1000, max_bytes=1000
        )
        assert answer["truncated_by"] == "bytes"
    with pytest.raises(LimitExceeded, match=r"did not end within 0\.01 s"):
        await send(tools, "HSCAN", "shop:h", "MATCH", "nothing", timeout_seconds=0.01)
    assert time.monotonic() - begun < 30


async def test_a_long_value_is_cut_with_its_real_size(tools: SourceTools, writer: Any) -> None:
    await writer.set("shop:text", "x" * 1_000_000)
    await writer.set("shop:raw", b"\xff" * 1_000_000)
    await writer.set("shop:short", "é" * 20_000)
    assert await value(tools, "GET", "shop:text") == "x" * 16_384 + "… (983616 more bytes)"
    assert (await value(tools, "GET", "shop:raw"))["bytes"] == 1_000_000
    assert await value(tools, "GET", "shop:short") == "é" * 16_384 + "… (3616 more characters)"
    answer = await tools.call("query_redis", command="GET", arguments=["shop:text"], max_bytes=1000)
    assert (answer["cut_values"], answer["row_count"], answer["truncated"]) == (1, 1, False)
    assert answer["rows"][0]["value"].endswith("x… (999064 more bytes)")


async def test_a_value_that_does_not_fit_into_a_file_is_refused(tools: SourceTools, writer: Any) -> None:
    for content, most in ((b"x", 936), (b"\xff", 702)):
        await writer.set("shop:a", content * most)
        answer = await tools.call("query_redis", command="GET", arguments=["shop:a"], save=True, max_bytes=1000)
        assert (answer["cut_values"], answer["row_count"]) == (0, 1)
        await writer.set("shop:a", content * (most + 1))
        with pytest.raises(LimitExceeded, match=rf"has {most + 1} bytes, and {most} fit\. .* GETRANGE"):
            await send(tools, "GET", "shop:a", save=True, max_bytes=1000)


class Repeating(Session):
    """A server that repeats elements while it resizes a table."""

    def __init__(self, kind: bytes, replies: list[tuple[bytes, list[bytes]]]) -> None:
        super().__init__(SimpleNamespace(meter=Meter()))
        self._replies = iter([kind, *replies])

    async def call(self, *_command: bytes | str | int, limit: int = 0) -> Any:  # noqa: ARG002
        return next(self._replies)


@pytest.mark.parametrize(
    ("name", "kind", "extra"), [("HGETALL", b"hash", b"1"), ("ZSCAN", b"zset", b"1"), ("SMEMBERS", b"set", None)]
)
async def test_an_element_that_a_scan_repeats_is_returned_once(name: str, kind: bytes, extra: bytes | None) -> None:
    def flat(*members: bytes) -> list[bytes]:
        return [part for member in members for part in (member, extra) if part is not None]

    rows = Rows(10, 10_000)
    session = Repeating(kind, [(b"1", flat(b"a", b"b", b"a")), (b"2", flat(b"b", b"c")), (b"0", flat(b"a"))])
    await COMMANDS[name].read(session, Keyspace(("",)), name, [b"key"], rows)
    assert [row[0] for row in rows.rows] == ["a", "b", "c"]


@pytest.mark.slow
async def test_a_huge_value_is_cut_or_refused_and_never_read_whole(tools: SourceTools, writer: Any) -> None:
    huge = b"x" * (40 * MIB)
    await writer.set("shop:text", huge)
    await writer.set("shop:raw", b"\xff" * (40 * MIB))
    await writer.hset("shop:h", "f", huge)
    await writer.rpush("shop:l", "small", huge)
    answer = await tools.call("query_redis", command="GET", arguments=["shop:text"])
    assert answer["cut_values"] == 1
    assert answer["rows"][0]["value"].startswith("xxx")
    assert len(answer["rows"][0]["value"]) < 20_000
    assert (await tools.call("query_redis", command="GET", arguments=["shop:raw"]))["cut_values"] == 1
    for key in ("shop:text", "shop:raw"):
        with pytest.raises(LimitExceeded, match=f"has {40 * MIB} bytes, and "):
            await send(tools, "GET", key, save=True)
    for command in (
        ("HGETALL", "shop:h"),
        ("HGET", "shop:h", "f"),
        ("LRANGE", "shop:l", 0, -1),
        ("MGET", "shop:text"),
        ("GETRANGE", "shop:text", 0, -1),
    ):
        with pytest.raises(LimitExceeded, match=r"may have 8 MiB\. Read a part with GETRANGE"):
            await send(tools, *command)
    assert await value(tools, "STRLEN", "shop:text") == 40 * MIB


@pytest.mark.parametrize(
    "command", ["GET", "HGETALL", "HLEN", "LRANGE", "LLEN", "SMEMBERS", "SCARD", "ZRANGE", "XRANGE"]
)
async def test_a_wrong_type_is_a_clear_error(tools: SourceTools, writer: Any, command: str) -> None:
    await writer.set("shop:string", "1")
    await writer.rpush("shop:list", "1")
    key = "shop:list" if command == "GET" else "shop:string"
    ends = ["-", "+"] if command == "XRANGE" else ["0", "-1"]
    arguments = [key, *ends[: COMMANDS[command].count[0] - 1]]
    with pytest.raises(BadInput, match=r"WRONGTYPE|has the type string, not"):
        await send(tools, command, *arguments)
    assert await value(tools, "EXISTS", key) == 1


async def test_a_saved_reply_has_more_rows_and_markdown_shows_few(tools: SourceTools, writer: Any) -> None:
    await writer.rpush("shop:l", *range(5000))
    answer = await tools.call("query_redis", command="LRANGE", arguments=["shop:l", 0, -1], max_rows=4000, save=True)
    assert (answer["row_count"], answer["truncated_by"]) == (4000, "rows")
    assert (await tools.file(answer)).count(b"\n") == 4001
    answer = await tools.call("query_redis", command="LRANGE", arguments=["shop:l", 0, 1], format="markdown")
    assert answer["text"] == "| index | value |\n| --- | --- |\n| 0 | 0 |\n| 1 | 1 |\n"


async def test_no_command_of_a_call_changes_the_data(tools: SourceTools, writer: Any) -> None:
    await writer.set("shop:a", "1")
    for command, arguments in (
        ("SET", ["shop:a", "2"]),
        ("GET", ["shop:a\r\nSET shop:a 2"]),
        ("get\r\nset", ["shop:a"]),
        ("PFCOUNT", ["shop:a"]),  # writes its count into the key
    ):
        with pytest.raises(BadInput):
            await send(tools, command, *arguments, "x" if command == "GET" else "y")
    assert await value(tools, "GET", "shop:a\r\nSET shop:a 2") is None
    assert await value(tools, "GET", "shop:a") == "1"


@pytest.fixture
def frozen(temporary: Path) -> Iterator[Valkey]:
    """A server for a test that freezes it."""
    server = Valkey(temporary / "source", mark="source", persistent=False)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.mark.slow
async def test_ten_connections_are_the_maximum_and_cancelled_reads_close_theirs(frozen: Valkey) -> None:
    store = RedisStore("shop", f"{frozen.url}?prefix=shop:")
    first = Rows(1, 1000)
    await store.run("GET", [b"shop:a"], first, Deadline(30))
    frozen.freeze()
    reads = [asyncio.ensure_future(store.run("GET", [b"shop:a"], Rows(1, 1000), Deadline(60))) for _ in range(10)]
    await asyncio.wait(reads, timeout=0.2)
    with pytest.raises(Busy, match=r"busy for 0\.2 s"):
        await store.run("GET", [b"shop:a"], Rows(1, 1000), Deadline(0.2))
    for read in reads:
        read.cancel()
    await asyncio.wait(reads, timeout=30)
    assert all(read.cancelled() for read in reads)
    frozen.thaw()
    again = Rows(1, 1000)
    await store.run("GET", [b"shop:a"], again, Deadline(30))
    assert first.rows == again.rows == [[None]]
    await store.close()


async def test_an_idle_connection_that_died_is_replaced(tools: SourceTools, writer: Any, redis: ArqRedis) -> None:
    await writer.set("shop:a", "1")
    assert await value(tools, "GET", "shop:a") == "1"
    await execute(redis, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert await value(tools, "GET", "shop:a") == "1"


@pytest.mark.slow
async def test_a_frozen_server_ends_a_read_at_its_limit_and_is_used_again(
    redis: ArqRedis, tmp_path: Path, frozen: Valkey
) -> None:
    async with source_tools(redis, tmp_path, source_shop=f"{frozen.url}?prefix=shop:") as tools:
        assert await value(tools, "GET", "shop:a") is None
        frozen.freeze()
        with pytest.raises(LimitExceeded, match=r"did not end within 0\.3 s"):
            await send(tools, "GET", "shop:a", timeout_seconds=0.3)
        frozen.thaw()
        assert await value(tools, "GET", "shop:a") is None


async def test_a_server_that_does_not_answer_is_a_clear_error(redis: ArqRedis, tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"redis://user:very-secret@127.0.0.1:{listener.getsockname()[1]}/0?prefix=shop:"
        async with source_tools(redis, tmp_path, source_shop=address) as tools:
            with pytest.raises(Unavailable, match="The Redis does not answer") as refused:
                await send(tools, "GET", "shop:a")
    assert "very-secret" not in refused.value.message
    assert "127.0.0.1" not in refused.value.message


async def test_a_timeout_of_the_library_names_no_address(redis: ArqRedis, tmp_path: Path, frozen: Valkey) -> None:
    address = f"{frozen.url}?socket_timeout=0.2&prefix=shop:"
    async with source_tools(redis, tmp_path, source_shop=address) as tools:
        assert await value(tools, "GET", "shop:a") is None
        frozen.freeze()
        with pytest.raises(Unavailable, match=r"does not answer \(TimeoutError\)") as refused:
            await send(tools, "GET", "shop:a")
        frozen.thaw()
    assert str(tmp_path.anchor) not in refused.value.message


async def test_a_login_is_used_and_its_limits_are_told(
    redis: ArqRedis, valkey: str, writer: Any, tmp_path: Path
) -> None:
    await writer.set("shop:a", "1")
    rules = ("on", ">pass", "~shop:*", "+get", "+strlen", "+getrange", "+select")
    await execute(redis, "ACL", "SETUSER", "reader", *rules)
    try:
        for password, outcome in (("pass", None), ("very-secret", Unavailable)):
            address = url(valkey.replace("unix://", f"unix://reader:{password}@"), "*")
            async with source_tools(redis, tmp_path, source_shop=address) as tools:
                if outcome:
                    with pytest.raises(outcome, match="does not answer") as refused:
                        await send(tools, "GET", "shop:a")
                    assert "very-secret" not in refused.value.message
                    continue
                assert await value(tools, "GET", "shop:a") == "1"
                for command, key in (("GET", "other"), ("TYPE", "shop:a")):
                    with pytest.raises(BadInput, match="user may not send this command, or read this key"):
                        await send(tools, command, key)
    finally:
        await execute(redis, "ACL", "DELUSER", "reader")
