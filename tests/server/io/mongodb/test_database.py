"""query_mongodb against a server: finds, aggregations, caps, limits, a catalogue by sampling, failures in words."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import socket
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import bson
import pytest
from arq.connections import ArqRedis
from bson import DatetimeMS, Decimal128, Int64, ObjectId, Regex
from mcp_types import TextContent
from structlog.testing import capture_logs

from offloop.errors import BadInput, Busy, LimitExceeded, Unavailable
from offloop_server.io.deadline import Deadline
from offloop_server.io.mongodb import catalogue
from offloop_server.io.mongodb import database as module
from offloop_server.io.mongodb.operators import STAGES
from offloop_server.io.mongodb.query import Query
from offloop_server.io.results.documents import Documents
from support.mongodb import Mongo, relay, serve_mongo
from support.sources import SourceTools, source_tools
from support.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


PASSWORD = "very-secret"  # noqa: S105 -- of a server of this test
OID = ObjectId("65f0c0ffee0123456789abcd")
ORDERS: list[dict[str, Any]] = [
    {"_id": 1, "customer": "Ada", "total": Decimal128("1.50"), "items": [{"sku": "tea", "n": 2}], "open": True},
    {"_id": 2, "customer": "Ada", "total": Decimal128("2.50"), "note": "=1+1", "placed": datetime(2026, 1, 31)},  # noqa: DTZ001 -- as bson has it
    {
        "_id": 3,
        "customer": "Grace",
        "big": Int64(2**60),
        "nan": float("nan"),
        "raw": b"\xff",
        "of": OID,
        "word": "Grace",
    },
    {"_id": 4, "customer": None, "address": {"city": "Rome", "geo": {"lat": 41.9}}, "pattern": Regex("^a", "i")},
]
ENDLESS: list[dict[str, Any]] = [
    {"$lookup": {"from": "many", "pipeline": [{"$match": {"n": -1}}], "as": "b"}},
    {"$group": {"_id": None, "n": {"$sum": {"$size": "$b"}}}},
]
"""Compares each of many documents with each."""


POINT = {"type": "Point", "coordinates": [0, 0]}
STAGE_CONTENTS: dict[str, Any] = {
    "$addFields": {"x": 1},
    "$bucket": {"groupBy": "$n", "boundaries": [0, 5], "default": "other"},
    "$bucketAuto": {"groupBy": "$n", "buckets": 2},
    "$count": "n",
    "$densify": {"field": "n", "range": {"step": 1, "bounds": "full"}},
    "$facet": {"a": [{"$count": "n"}]},
    "$fill": {"sortBy": {"n": 1}, "output": {"m": {"method": "locf"}}},
    "$geoNear": {"near": POINT, "distanceField": "d", "key": "place"},
    "$graphLookup": {"from": "places", "startWith": "$n", "connectFromField": "n", "connectToField": "n", "as": "g"},
    "$group": {"_id": 1},
    "$limit": 1,
    "$lookup": {"from": "places", "localField": "n", "foreignField": "n", "as": "z"},
    "$match": {},
    "$project": {"n": 1},
    "$redact": "$$KEEP",
    "$replaceRoot": {"newRoot": "$$ROOT"},
    "$replaceWith": "$$ROOT",
    "$sample": {"size": 2},
    "$set": {"x": 1},
    "$setWindowFields": {"sortBy": {"n": 1}, "output": {"r": {"$rank": {}}}},
    "$skip": 1,
    "$sort": {"n": 1},
    "$sortByCount": "$n",
    "$unionWith": "places",
    "$unset": "n",
    "$unwind": "$list",
}


@pytest.fixture(scope="session")
async def filled(mongo: Mongo) -> Mongo:
    """The server with a database of orders."""
    async with mongo.writer() as client:
        await client.shop.orders.insert_many(ORDERS)
        await client.shop.orders.create_index([("customer", 1), ("total", -1)])
        await client.shop.orders.create_index([("note", 1)], unique=True, sparse=True)
        await client.shop.many.insert_many([{"_id": n, "n": n, "s": "x" * 30} for n in range(3000)])
        await client.shop.large.insert_many([{"_id": n, "s": "x" * 1_000_000} for n in range(30)])
        await client.shop.places.insert_many([{"n": n, "list": [1, 2], "place": POINT} for n in range(5)])
        await client.shop.places.create_index([("place", "2dsphere")])
        await client.shop.create_collection("ada", viewOn="orders", pipeline=[{"$match": {"customer": "Ada"}}])
        await client.other.secrets.insert_one({"secret": 1})
    return mongo


@pytest.fixture
async def tools(redis: ArqRedis, tmp_path: Path, filled: Mongo) -> AsyncIterator[SourceTools]:
    """The tools of a connection to it."""
    async with source_tools(redis, tmp_path, source_shop=filled.url("shop")) as made:
        yield made


async def find(tools: SourceTools, collection: str = "orders", /, **arguments: Any) -> list[dict[str, Any]]:
    """The documents of a query."""
    return await tools.rows("query_mongodb", collection=collection, **arguments)


async def test_documents_are_found_projected_sorted_and_skipped(tools: SourceTools) -> None:
    arguments: dict[str, Any] = {"filter": {"customer": "Ada"}, "projection": {"total": 1}, "sort": {"_id": -1}}
    assert await find(tools, **arguments) == [
        {"_id": 2, "total": {"$numberDecimal": "2.50"}},
        {"_id": 1, "total": {"$numberDecimal": "1.50"}},
    ]
    assert [row["_id"] for row in await find(tools, **arguments, skip=1)] == [1]
    assert [row["_id"] for row in await find(tools, sort={"_id": -1.0})] == [4, 3, 2, 1]


async def test_values_come_as_extended_json_and_columns_have_their_types(tools: SourceTools) -> None:
    answer = await tools.call("query_mongodb", collection="orders", sort={"_id": 1})
    assert answer["rows"][2] == {
        "_id": 3,
        "customer": "Grace",
        "big": {"$numberLong": "1152921504606846976"},
        "nan": {"$numberDouble": "NaN"},
        "raw": {"$binary": {"base64": "/w==", "subType": "00"}},
        "of": {"$oid": str(OID)},
        "word": "Grace",
    }
    assert answer["rows"][1]["placed"] == {"$date": "2026-01-31T00:00:00Z"}
    types = {column["name"]: column["type"] for column in answer["columns"]}
    assert list(types)[:4] == ["_id", "customer", "total", "items"]
    assert (types["customer"], types["total"], types["items"], types["of"]) == (
        "string",
        "decimal",
        "array",
        "objectId",
    )
    [row] = await find(tools, filter={"_id": 1}, projection={"_id": 1}, extended_json="canonical")
    assert row == {"_id": {"$numberInt": "1"}}


async def test_values_of_a_filter_are_extended_json(tools: SourceTools) -> None:
    for condition in (
        {"of": {"$oid": str(OID)}},
        {"big": {"$numberLong": str(2**60)}},
        {"raw": {"$binary": {"base64": "/w==", "subType": "00"}}},
        {"word": {"$regularExpression": {"pattern": "^gra", "options": "i"}}},
        {"word": {"$regex": "^gra", "$options": "i"}},
    ):
        assert [row["_id"] for row in await find(tools, filter=condition)] == [3]
    assert await find(tools, filter={"placed": {"$lt": {"$date": "2026-01-01T00:00:00Z"}}}) == []


async def test_an_aggregation_reads_the_collections_of_the_database(tools: SourceTools) -> None:
    stages = [
        {"$match": {"total": {"$exists": True}}},
        {"$group": {"_id": "$customer", "sum": {"$sum": "$total"}, "n": {"$sum": 1}}},
        {"$lookup": {"from": "many", "localField": "n", "foreignField": "n", "as": "same"}},
        {"$set": {"same": {"$size": "$same"}}},
    ]
    expected = {"_id": "Ada", "sum": {"$numberDecimal": "4.00"}, "n": 2, "same": 1}
    assert await find(tools, pipeline=stages) == [expected]
    facets = await find(tools, pipeline=[{"$facet": {"all": [{"$count": "n"}], "one": [{"$limit": 1}]}}])
    assert facets[0]["all"] == [{"n": 4}]
    assert await find(tools, "ada", pipeline=[{"$count": "n"}]) == [{"n": 2}]


async def test_every_listed_stage_is_sent_and_known_to_the_server(tools: SourceTools) -> None:
    assert set(STAGE_CONTENTS) == STAGES
    for name, content in STAGE_CONTENTS.items():
        assert isinstance(await find(tools, "places", pipeline=[{name: content}]), list)


async def test_rows_and_bytes_stop_at_the_cap_and_say_so(tools: SourceTools) -> None:
    for cap, truncated in ((3, "rows"), (4, None)):
        answer = await tools.call("query_mongodb", collection="orders", max_rows=cap)
        assert (answer["row_count"], answer["truncated_by"]) == (min(cap, 4), truncated)
    answer = await tools.call("query_mongodb", collection="many", max_rows=1000, max_bytes=10_000)
    assert answer["truncated_by"] == "bytes"
    assert 10 < answer["row_count"] < 400
    result = await tools.result("query_mongodb", collection="large", max_rows=2)
    assert isinstance(result.content[0], TextContent)
    assert "2 values of 's' are too long and cut here" in result.content[0].text


async def test_large_documents_are_read_batch_by_batch(tools: SourceTools) -> None:
    """30 MB, of which the server sends at most 16 MiB in one reply, and the cap is reached before the second."""
    answer = await tools.call("query_mongodb", collection="large", max_rows=30, max_bytes=5_000_000, save=True)
    assert (answer["row_count"], answer["truncated_by"]) == (4, "bytes")
    answer = await tools.call("query_mongodb", collection="large", max_rows=30, save=True)
    assert (answer["row_count"], answer["truncated_by"]) == (30, None)


async def test_documents_are_saved_and_exported_with_all_their_fields(tools: SourceTools) -> None:
    text = (await tools.call("query_mongodb", collection="orders", sort={"_id": 1}, format="csv"))["text"]
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert header[:3] == ["_id", "customer", "total"]
    assert {len(row) for row in rows} == {len(header)}
    assert rows[1][header.index("note")] == "'=1+1"
    answer = await tools.call("query_mongodb", collection="many", max_rows=5000, save=True, format="json")
    assert len(json.loads(await tools.file(answer))) == answer["row_count"] == 3000


async def test_an_explained_query_shows_its_plan(tools: SourceTools) -> None:
    [plan] = await find(tools, filter={"customer": "Ada"}, explain=True)
    assert "IXSCAN" in json.dumps(plan)
    [plan] = await find(tools, "many", pipeline=ENDLESS, explain=True)
    assert "COLLSCAN" in json.dumps(plan)


async def test_collections_are_listed_and_described_by_a_sample(tools: SourceTools) -> None:
    listed = (await tools.call("list_tables"))["tables"]
    assert [(table["name"], table["kind"]) for table in listed] == [
        ("ada", "view"),
        ("large", "collection"),
        ("many", "collection"),
        ("orders", "collection"),
        ("places", "collection"),
    ]
    shape = await tools.call("describe_table", table="orders", sample_rows=2)
    fields = {column["name"]: column for column in shape["columns"]}
    assert fields["_id"]["primary_key"]
    assert (fields["address.geo.lat"]["type"], fields["customer"]["nullable"]) == ("double", True)
    assert [(key["kind"], key["columns"]) for key in shape["keys"]] == [
        ("primary", ["_id"]),
        ("index", ["customer", "-total"]),
        ("unique", ["note"]),
    ]
    assert (shape["table"]["rows"], len(shape["sample"])) == (4, 2)
    assert (await tools.call("describe_table", table="ada"))["table"]["rows"] is None
    for name in ("nothing", "system.users"):
        with pytest.raises(BadInput, match="There is no table"):
            await tools.call("describe_table", table=name)


async def test_fields_are_read_of_documents_that_python_cannot_hold() -> None:
    """The server of the tests cannot keep such documents: they are decoded here."""
    raw = bson.encode({"_id": 1, "far": DatetimeMS(10**15), "broken": "@@"}).replace(b"@@", b"\xff\xfe")
    fields = catalogue._Fields()
    fields.add(raw + bson.encode({"_id": 2}))
    columns = {column.name: (column.type, column.nullable) for column in fields.columns()}
    assert columns == {"_id": ("int", False), "far": ("date", True), "broken": ("string", True)}


async def test_a_sample_ends_after_a_number_of_bytes(tools: SourceTools, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    add = catalogue._Fields.add

    def counted(fields: catalogue._Fields, batch: bytes) -> None:
        read.append(len(batch))
        add(fields, batch)

    monkeypatch.setattr(catalogue._Fields, "add", counted)
    assert (await tools.call("describe_table", table="large"))["columns"][1]["type"] == "string"
    assert 1_000_000 < sum(read) < 12_000_000  # of 30 MB
    read.clear()
    await tools.call("describe_table", table="many")
    assert len(read) >= 10


async def test_a_collection_beyond_the_longest_listing_is_described(
    tools: SourceTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "MAX_TABLES", 1)
    assert len((await tools.call("list_tables"))["tables"]) == 1
    for name in ("many", "orders", "ada"):
        assert (await tools.call("describe_table", table=name))["table"]["name"] == name


async def test_an_argument_that_only_the_client_library_refuses_is_bad_input(filled: Mongo) -> None:
    database = module.MongoDB("shop", filled.url("shop"))
    with pytest.raises(BadInput, match="MongoDB cannot take the query: "):
        await database.run(Query("orders", sort={"a": None}), "relaxed", Documents(1, 1000), Deadline(30))
    await database.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filter": {"$where": "sleep(60000)"}}, "runs JavaScript; use \\$expr"),
        ({"pipeline": [{"$out": "stolen"}]}, "it writes"),
        ({"pipeline": [{"$unionWith": {"coll": "many", "pipeline": [{"$merge": "stolen"}]}}]}, "it writes"),
        ({"pipeline": [{"$group": {}}]}, "MongoDB refuses the query: .*_id"),
        ({"filter": {"a": {"$in": 5}}}, "MongoDB refuses the query: .*array"),
        ({"filter": {"a": {"$regex": "("}}}, "MongoDB refuses the query"),
        ({"sort": {"a": 7}}, "MongoDB refuses the query"),
        ({"sort": {"a": None}}, "sort: the direction of 'a'"),
        ({"sort": {"$numberInt": "1"}}, "sort is an object of fields"),
        ({"filter": {"$oid": str(OID)}}, "filter is an object of fields"),
        ({"projection": {"$minKey": 1}}, "projection is an object of fields"),
        ({"filter": {"a": {"$numberLong": "9" * 30}}}, "cannot take the value"),
        ({"filter": {"a": 1}, "pipeline": []}, "go without pipeline"),
        ({"max_rows": 1001}, "save=true"),
        ({"filter": {"a": "x" * 17_000_000}}, "MongoDB cannot take|larger than"),
    ],
)
async def test_what_cannot_be_run_is_refused_in_words(
    tools: SourceTools, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message) as refused:
        await find(tools, **arguments)
    assert "127.0.0.1" not in refused.value.message
    assert "clusterTime" not in refused.value.message
    assert len(await find(tools)) == 4
    assert "stolen" not in {table["name"] for table in (await tools.call("list_tables"))["tables"]}


async def test_an_endless_query_is_stopped_in_time(tools: SourceTools) -> None:
    begun = time.monotonic()
    with pytest.raises(LimitExceeded, match=r"did not end within 0\.5 s"):
        await find(tools, "many", pipeline=ENDLESS, timeout_seconds=0.5)
    assert time.monotonic() - begun < 20
    assert len(await find(tools)) == 4


async def test_a_cancelled_query_closes_its_connection(redis: ArqRedis, tmp_path: Path, filled: Mongo) -> None:
    """MongoDB ends a query whose client has left, since 4.2. This server does not, so the connections are counted."""
    async with relay(filled.port) as (port, relayed):
        url = f"mongodb://127.0.0.1:{port}/shop"
        async with source_tools(redis, tmp_path, source_shop=url) as tools:
            assert len(await find(tools)) == 4
            task = asyncio.ensure_future(find(tools, "many", pipeline=ENDLESS, timeout_seconds=20))

            async def asked() -> bool:
                return any(b"$lookup" in sent for sent in relayed.values())

            async def left() -> bool:
                return not any(b"$lookup" in sent for sent in relayed.values())

            await eventually(asked, "the query is sent", 30)
            task.cancel()
            await asyncio.wait([task], timeout=30)
            assert task.cancelled()
            await eventually(left, "its connection is closed", 30)
            assert len(await find(tools)) == 4


async def test_many_concurrent_queries_are_all_answered(tools: SourceTools) -> None:
    answers = await asyncio.gather(*(find(tools, "many", filter={"_id": number}) for number in range(40)))
    assert [row["n"] for [row] in answers] == list(range(40))


async def test_waiting_for_a_connection_is_bounded(filled: Mongo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CONNECTIONS", 1)
    database = module.MongoDB("shop", filled.url("shop"))
    async with database._permits.one(Deadline(5)):
        with pytest.raises(Busy, match=r"busy for 0\.2 s"):
            await database.tables(Deadline(0.2))
    assert len(await database.tables(Deadline(30))) == 5
    await database.close()


async def test_a_connection_without_a_login_is_named_in_the_log(redis: ArqRedis, tmp_path: Path, filled: Mongo) -> None:
    async with source_tools(redis, tmp_path, source_shop=filled.url("shop")) as tools:
        with capture_logs() as logs:
            await find(tools)
            await find(tools)
    assert [line["event"] for line in logs] == ["a MongoDB connection has no login; give it a user with the role read"]


async def test_a_login_is_used_its_rights_hold_and_a_writer_is_named_in_the_log(
    redis: ArqRedis, tmp_path: Path
) -> None:
    with serve_mongo(tmp_path) as open_server:
        async with open_server.writer() as client:
            await client.shop.orders.insert_one({"_id": 1})
            for role in ("read", "readWrite"):
                await client.shop.command("createUser", role, pwd=PASSWORD, roles=[{"role": role, "db": "shop"}])
    with serve_mongo(tmp_path, logins=True) as server:

        async def logged(database: str, login: str) -> list[str]:
            async with source_tools(redis, tmp_path, source_shop=server.url(database, login)) as tools:
                with capture_logs() as logs:
                    assert await find(tools) == [{"_id": 1}]
                return [line["event"] for line in logs]

        assert await logged("shop", "read:very-secret@") == []
        [warning] = await logged("shop", "readWrite:very-secret@")
        assert warning.startswith("the user of a MongoDB connection may write")
        source = server.url("other", "read:very-secret@") + "?authSource=shop"
        async with source_tools(redis, tmp_path, source_shop=source) as tools:
            with pytest.raises(BadInput, match="user may not read that"):
                await find(tools)
        with pytest.raises(Unavailable, match=r"does not answer \(18\)") as refused:
            await logged("shop", "read:wrong-secret@")
        assert "secret" not in refused.value.message


async def test_a_server_that_does_not_answer_is_a_clear_error_in_time(redis: ArqRedis, tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        url = f"mongodb://user:very-secret@127.0.0.1:{port}/shop"
        async with source_tools(redis, tmp_path, source_shop=url) as tools:
            begun = time.monotonic()
            with capture_logs() as logs, pytest.raises(Unavailable, match="does not answer") as refused:
                await find(tools, timeout_seconds=1)
            assert time.monotonic() - begun < 20
    assert "very-secret" not in refused.value.message + str(logs)
    assert "127.0.0.1" not in refused.value.message


async def test_a_frozen_server_ends_a_query_at_its_limit_and_is_used_again(redis: ArqRedis, tmp_path: Path) -> None:
    with serve_mongo() as server:
        async with source_tools(redis, tmp_path, source_shop=server.url("shop")) as tools:
            assert await find(tools) == []
            server.freeze()
            with pytest.raises((LimitExceeded, Unavailable)):
                await find(tools, timeout_seconds=0.5)
            server.thaw()

            async def answers() -> bool:
                try:
                    return await find(tools) == []
                except Unavailable:
                    return False

            await eventually(answers, "the server is used again", 60)


@pytest.mark.parametrize("url", ["mongodb://u:very-secret@/shop", "mongodb://u:very-secret@h/shop?nope=1&tls=maybe"])
async def test_a_url_that_the_library_refuses_is_not_shown(url: str) -> None:
    with capture_logs() as logs, pytest.raises(Unavailable) as refused:
        await module.MongoDB("shop", url).tables(Deadline(5))
    assert "very-secret" not in refused.value.message + str(logs)
