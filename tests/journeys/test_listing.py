"""tools/list: selectable families, a fixed order, and limits on the size of descriptions."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from mcp.shared.exceptions import MCPError

from offloop.kinds import catalogue
from support.jobs import stack_jobs
from support.stack.client import Mode
from support.stack.stack import Stack

pytestmark = pytest.mark.anyio

MAX_DESCRIPTION = 360
"""Characters of a description; the longest is that of a job, with the line common to all jobs."""
MAX_BYTES = 200_000
"""Bytes of tools/list with everything switched on; half of it are output schemas."""
MAX_FOR_MODELS = 90_000
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
}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_every_front_end_lists_the_same_tools_in_the_same_order(stack: Stack, mode: Mode) -> None:
    lists = []
    for front_end in stack.front_ends[:2]:
        async with stack.client(front_end, mode=mode) as caller:
            lists.append((await caller.client.list_tools()).tools)
    assert lists[0] == lists[1]
    assert len({tool.name for tool in lists[0]}) == len(lists[0])


async def test_all_tools_together_stay_within_the_size_limit(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(**EVERYTHING)
    stack.front_end()
    async with stack.client() as caller:
        result = await caller.client.list_tools()
    beds = {kind.name for kind in catalogue.kinds_in(stack_jobs)}
    tools = [tool for tool in result.tools if tool.name not in beds]
    assert {"http_get", "query_records", "query_postgres", "gather_sources"} <= {tool.name for tool in tools}
    assert sum(len(tool.model_dump_json(by_alias=True, exclude_none=True)) for tool in tools) <= MAX_BYTES
    parts = [(tool.name, tool.description, tool.input_schema) for tool in tools]
    assert len(json.dumps(parts)) <= MAX_FOR_MODELS
    described = {tool.name: tool.description or "" for tool in result.tools}
    assert {name: len(text) for name, text in described.items() if not 20 <= len(text) <= MAX_DESCRIPTION} == {}
    assert len({*described.values()}) == len(described)


async def test_only_the_families_that_are_switched_on_are_listed_and_can_be_called(
    new_stack: Callable[..., Stack],
) -> None:
    stack = new_stack(families="pdf,http", fetch_hosts="*")
    stack.front_end()
    async with stack.client() as caller:
        tools = {*(await caller.tools())}
        assert {"render_pdf", "edit_pdf", "preview_pdf", "http_get", "nap", "write_note"} | ALWAYS <= tools
        assert not tools & {"hash_file", "transform_image", "gather_sources", "list_deliveries", "list_tables"}
        with pytest.raises(MCPError, match="There is no tool 'hash_file'"):
            await caller.call("hash_file", file="data:,x")
        prompts = [prompt.name for prompt in (await caller.client.list_prompts()).prompts]
        assert prompts == ["report_from_markdown", "invoice_from_template"]


async def test_the_tools_around_jobs_and_files_are_always_listed(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(families="gather", fetch_hosts="*")
    stack.front_end()
    async with stack.client() as caller:
        tools = {*(await caller.tools())}
        assert ALWAYS | {"gather_sources"} <= tools
        assert not tools & set(catalogue.load())
