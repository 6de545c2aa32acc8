"""tools/list: selectable families, a fixed order, and limits on the size of descriptions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from offloop.kinds import catalogue
from offloop.settings import load
from offloop_server.app import FrontEnd
from support.jobs import stack_jobs
from support.stack.client import Mode
from support.stack.guests import guest_front_end
from support.stack.stack import Stack

pytestmark = pytest.mark.anyio
Connect = Callable[..., AbstractAsyncContextManager[Client]]

MAX_DESCRIPTION = 360
"""Characters of a description; the longest is that of a job, with the line common to all jobs."""
MAX_BYTES = 200_000
"""Bytes of tools/list with everything switched on; half of it are output schemas."""
MAX_FOR_MODELS = 102_000
"""Bytes of the part that hosts give to models: names, descriptions and input schemas."""
ALWAYS = {"job_status", "wait_for_jobs", "list_jobs", "cancel_job"} | {
    "create_upload",
    "read_artifact",
    "delete_artifact",
}
EVERYTHING = {
    "fetch_hosts": "*",
    "sql_notes": "sqlite:////nowhere/notes.db",
    "sql_more": "postgresql://nobody@localhost/x",
    "sql_most": "mysql://nobody@localhost/x",
    "source_documents": "mongodb://localhost/x",
    "source_keys": "redis://localhost?prefix=x:",
}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_every_front_end_lists_the_same_tools_in_the_same_order(stack: Stack, mode: Mode) -> None:
    lists = []
    for front_end in stack.front_ends[:2]:
        async with stack.client(front_end, mode=mode) as caller:
            lists.append((await caller.client.list_tools()).tools)
    assert lists[0] == lists[1]
    assert len({tool.name for tool in lists[0]}) == len(lists[0])


@pytest.fixture
async def connect(valkey: str, tmp_path: Path) -> Connect:
    """Connects to a front end with given settings, in the process of the test."""

    @asynccontextmanager
    async def connected(**given: str) -> AsyncIterator[Client]:
        variables = {"redis_url": valkey, "state_dir": str(tmp_path), **given}
        settings = load({f"OFFLOOP_{name.upper()}": value for name, value in variables.items()})
        kinds = catalogue.load(["support.jobs.stack_jobs"])
        async with Client(FrontEnd(settings, kinds).server) as client:
            yield client

    return connected


async def test_all_tools_together_stay_within_the_size_limit(connect: Connect) -> None:
    async with connect(**EVERYTHING) as client:
        result = await client.list_tools()
    beds = {kind.name for kind in catalogue.kinds_in(stack_jobs)}
    tools = [tool for tool in result.tools if tool.name not in beds]
    sources = {"query_records", "query_postgres", "query_mysql", "query_mongodb", "query_redis"}
    assert {"http_get", "gather_sources", *sources} <= {tool.name for tool in tools}
    assert sum(len(tool.model_dump_json(by_alias=True, exclude_none=True)) for tool in tools) <= MAX_BYTES
    parts = [(tool.name, tool.description, tool.input_schema) for tool in tools]
    assert len(json.dumps(parts)) <= MAX_FOR_MODELS
    described = {tool.name: tool.description or "" for tool in result.tools}
    assert {name: len(text) for name, text in described.items() if not 20 <= len(text) <= MAX_DESCRIPTION} == {}
    assert len({*described.values()}) == len(described)


async def test_only_the_families_that_are_switched_on_are_listed_and_can_be_called(
    stack: Stack,
) -> None:
    with guest_front_end(stack, families="pdf,http", fetch_hosts="*") as front_end:
        async with stack.client(front_end) as caller:
            tools = {*(await caller.tools())}
            assert {"render_pdf", "edit_pdf", "preview_pdf", "http_get", "nap", "write_note"} | ALWAYS <= tools
            assert not tools & {"hash_file", "transform_image", "gather_sources", "list_deliveries", "list_tables"}
            with pytest.raises(MCPError, match="There is no tool 'hash_file'"):
                await caller.call("hash_file", file="data:,x")
            prompts = [prompt.name for prompt in (await caller.client.list_prompts()).prompts]
            assert prompts == ["report_from_markdown", "invoice_from_template"]


async def test_the_tools_around_jobs_and_files_are_always_listed(connect: Connect) -> None:
    async with connect(families="gather", fetch_hosts="*") as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert ALWAYS | {"gather_sources"} <= tools
        assert not tools & set(catalogue.load())
