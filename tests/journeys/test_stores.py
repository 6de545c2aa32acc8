"""MongoDB and Redis through a real front end, with the official client: reads, attacks, disconnects, and a stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from support.mongodb import Mongo, relay
from support.stack.client import begin_call
from support.stack.guests import guest_front_end
from support.stack.stack import FrontEnd, Stack
from support.waiting import eventually

pytestmark = pytest.mark.anyio


CODE = {"body": "function() { while (true) {} }", "args": [], "lang": "js"}
ENDLESS = [
    {"$lookup": {"from": "many", "pipeline": [{"$match": {"n": -1}}], "as": "b"}},
    {"$group": {"_id": None, "n": {"$sum": {"$size": "$b"}}}},
]
ATTACKS: dict[str, tuple[str, dict[str, Any]]] = {
    "JavaScript in a filter": ("query_mongodb", {"filter": {"$where": "sleep(60000) || true"}}),
    "JavaScript in an expression": ("query_mongodb", {"filter": {"$expr": {"$function": CODE}}}),
    "JavaScript in an accumulator": (
        "query_mongodb",
        {"pipeline": [{"$group": {"_id": 1, "x": {"$accumulator": CODE}}}]},
    ),
    "a stage that writes": ("query_mongodb", {"pipeline": [{"$out": "stolen"}]}),
    "a stage that writes elsewhere": (
        "query_mongodb",
        {"pipeline": [{"$lookup": {"from": "many", "pipeline": [{"$merge": "stolen"}], "as": "x"}}]},
    ),
    "the operations of other users": ("query_mongodb", {"pipeline": [{"$currentOp": {"allUsers": True}}]}),
    "the users of the server": ("query_mongodb", {"collection": "system.users"}),
    "another database": (
        "query_mongodb",
        {"pipeline": [{"$lookup": {"from": {"db": "admin", "coll": "system.users"}, "as": "x"}}]},
    ),
    "a filter of 120 levels": ("query_mongodb", {"filter": {"a": 0}, "levels": 60}),
    "an endless aggregation": ("query_mongodb", {"collection": "many", "pipeline": ENDLESS}),
    "an exponential pattern": ("query_mongodb", {"collection": "long", "filter": {"s": {"$regex": "^(x+x+)+y$"}}}),
    "every key": ("query_redis", {"command": "KEYS", "arguments": ["*"]}),
    "a script": ("query_redis", {"command": "EVAL", "arguments": ["while true do end", "0"]}),
    "a key outside the prefix": ("query_redis", {"command": "GET", "arguments": ["offloop:secret"]}),
    "a foreign key beside an own one": ("query_redis", {"command": "MGET", "arguments": ["shop:a", "other"]}),
    "foreign keys through SORT": ("query_redis", {"command": "SORT", "arguments": ["shop:l", "GET", "other*"]}),
    "the encoding of a foreign key": ("query_redis", {"command": "OBJECT", "arguments": ["ENCODING", "other"]}),
    "a second command in the name": ("query_redis", {"command": "GET\r\nFLUSHALL", "arguments": ["shop:a"]}),
    "a wait": ("query_redis", {"command": "BLPOP", "arguments": ["shop:none", "0"]}),
    "a write": ("query_redis", {"command": "DEL", "arguments": ["shop:a"]}),
    "a subscription": ("query_redis", {"command": "SUBSCRIBE", "arguments": ["shop:a"]}),
    "a pattern of many stars": ("query_redis", {"command": "SCAN", "arguments": ["MATCH", "*a" * 240 + "b"]}),
}


@dataclass(frozen=True)
class Shop:
    """A front end with a MongoDB and a Redis, through a relay that shows what the MongoDB is sent."""

    stack: Stack
    front_end: FrontEnd
    relayed: dict[int, bytes]

    async def asked(self) -> bool:
        """Whether an aggregation of `ENDLESS` runs."""
        return any(b"$lookup" in sent for sent in self.relayed.values())

    async def left(self) -> bool:
        """Whether its connection is closed, which ends it in a MongoDB."""
        return not await self.asked()


@pytest.fixture
async def shop(full_stack: Stack, mongo: Mongo) -> AsyncIterator[Shop]:
    """The front end; its Redis is another database of the queue's server, the worst case."""
    async with mongo.writer() as client:
        await client.drop_database("journeys")
        await client.journeys.orders.insert_many([{"_id": 1, "item": "tea"}, {"_id": 2, "item": "cake"}])
        await client.journeys.many.insert_many([{"_id": n, "n": n} for n in range(3000)])
        await client.journeys.long.insert_many([{"_id": n, "s": "x" * 20} for n in range(100)])
    with full_stack.valkey.redis() as redis:
        redis.select(1)
        redis.mset({"shop:a": "1", "other": "very-secret"})
        redis.rpush("shop:l", *range(2000))
    async with relay(mongo.port) as (port, relayed):
        settings = {
            "source_docs": f"mongodb://127.0.0.1:{port}/journeys",
            "source_keys": f"{full_stack.valkey.url}?db=1&prefix=shop:",
        }
        with guest_front_end(full_stack, **settings) as front_end:
            yield Shop(full_stack, front_end, relayed)
    with full_stack.valkey.redis() as redis:
        redis.select(1)
        redis.flushdb()


async def test_documents_and_keys_are_listed_read_saved_and_gathered(shop: Shop) -> None:
    async with shop.stack.client(shop.front_end) as caller:
        assert {"query_mongodb", "query_redis", "list_tables"} <= set(await caller.tools())
        listed = await caller.call("list_tables", connection="docs")
        assert [table["name"] for table in listed.data["tables"]] == ["long", "many", "orders"]
        found = await caller.call("query_mongodb", collection="orders", filter={"item": "tea"})
        assert found.data["rows"] == [{"_id": 1, "item": "tea"}]
        assert "| 1 | tea |" in found.text
        saved = await caller.call("query_redis", command="LRANGE", arguments=["shop:l", 0, 1], save=True)
        assert await caller.download(saved.data["artifact"]) == b"index,value\r\n0,0\r\n1,1\r\n"
        both = await caller.call(
            "gather_sources",
            sources={
                "a": {"collection": "orders", "pipeline": [{"$count": "n"}]},
                "b": {"command": "GET", "arguments": ["shop:a"]},
                "c": {"query": "SELECT 1 AS c", "connection": "lite"},
            },
        )
        rows = [both.data["data"][name]["rows"] for name in "abc"]
        assert rows == [[{"n": 2}], [{"value": "1"}], [{"c": 1}]]


async def test_every_attack_is_answered_within_its_limits(shop: Shop) -> None:
    async with shop.stack.client(shop.front_end) as caller:
        for name, (tool, given) in ATTACKS.items():
            arguments: dict[str, Any] = {"timeout_seconds": 1, **given}
            if tool == "query_mongodb":
                arguments.setdefault("collection", "orders")
            for _ in range(arguments.pop("levels", 0)):
                arguments["filter"] = {"$and": [arguments["filter"]]}
            async with asyncio.timeout(30):
                answer = await caller.call(tool, **arguments)
            assert answer.is_error, name
            assert "very-secret" not in answer.text
            assert "Traceback" not in answer.text
        listed = await caller.call("list_tables", connection="docs")
        assert [table["name"] for table in listed.data["tables"]] == ["long", "many", "orders"]
        assert (await caller.call("query_redis", command="GET", arguments=["shop:a"])).data["rows"] == [{"value": "1"}]


async def test_a_disconnected_client_leaves_no_query_of_a_store(shop: Shop) -> None:
    arguments = {"collection": "many", "pipeline": ENDLESS, "timeout_seconds": 15}
    connection = await asyncio.to_thread(
        begin_call, shop.front_end.endpoint, shop.stack.new_key(), "query_mongodb", arguments
    )
    await eventually(shop.asked, "the query is sent", 30)
    connection.close()
    await eventually(shop.left, "its connection is closed", 20)


async def test_a_front_end_that_stops_does_not_wait_for_a_store(shop: Shop) -> None:
    """It ends before the query would, whose limit is 15 seconds."""
    arguments = {"collection": "many", "pipeline": ENDLESS, "timeout_seconds": 15}
    connection = await asyncio.to_thread(
        begin_call, shop.front_end.endpoint, shop.stack.new_key(), "query_mongodb", arguments
    )
    await eventually(shop.asked, "the query is sent", 30)
    assert await asyncio.to_thread(shop.front_end.stop, 12) in (0, -signal.SIGTERM)
    connection.close()
