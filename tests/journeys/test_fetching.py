"""The HTTP tools through a real front end: listed where hosts are allowed, guarded, and cut with their caller."""

from __future__ import annotations

import asyncio

import pytest

from support.hosts.outside import outside
from support.stack.client import begin_call
from support.stack.stack import Stack

pytestmark = pytest.mark.anyio
NAMES = {"http_get", "call_api", "bulk_fetch"}


async def test_the_tools_fetch_and_refuse_through_a_front_end(full_stack: Stack) -> None:
    async with outside() as server, full_stack.client() as caller:
        assert set(await caller.tools()) >= NAMES
        answer = await caller.call("http_get", url=server.url("/as?type=application/json&body=[1,2]"))
        assert answer.data["data"] == [1, 2]
        saved = await caller.call("http_get", url=server.url("/file.txt"), save=True)
        assert await caller.download(saved.data["artifact"]) == b"/file.txt says hello"
        answer = await caller.call("call_api", method="POST", url=server.url("/echo"), json={"a": 1})
        assert answer.data["data"][":body"] == '{"a": 1}'
        urls = [server.url("/ok"), server.url("/status/404"), "http://169.254.169.254/"]
        answer = await caller.call("bulk_fetch", urls=urls)
        assert [one["status"] for one in answer.data["results"]] == [200, 404, None]
        answer = await caller.call("http_get", url="http://192.168.0.1/")
        assert answer.is_error
        assert "not public" in answer.text
        answer = await caller.call("http_get", url=server.url("/status/503"), retries=0)
        assert answer.is_error
        assert answer.text.startswith("HTTP 503 from 127.0.0.1")


async def test_a_caller_that_leaves_ends_its_fetches(full_stack: Stack) -> None:
    """In the middle of one, of many, and of one that is being saved: the host sees its connections go."""
    front_end = full_stack.front_ends[0]
    async with outside() as server:
        for tool, arguments in (
            ("http_get", {"url": server.url("/hang")}),
            ("http_get", {"url": server.url("/drip"), "save": True}),
            ("bulk_fetch", {"urls": [server.url(f"/hang?{number}") for number in range(30)]}),
        ):
            server.begun.clear()
            connection = begin_call(front_end.endpoint, full_stack.new_key(), tool, arguments)
            await asyncio.wait_for(server.begun.wait(), 20)
            connection.close()
            await asyncio.wait_for(server.emptied.wait(), 20)


async def test_without_allowed_hosts_the_tools_are_not_there(stack: Stack) -> None:
    async with stack.client() as caller:
        assert not NAMES & set(await caller.tools())
