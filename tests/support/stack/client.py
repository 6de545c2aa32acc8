"""The official Python client, as the journeys use it, and one request by hand for what no client would do."""

from __future__ import annotations

import http.client
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.dispatcher import ProgressFnT
from mcp_types import CallToolResult, ContentBlock, TextContent, Tool

Mode = Literal["auto", "legacy"]


@dataclass(frozen=True)
class Answer:
    """What a tool answered."""

    result: CallToolResult

    @property
    def text(self) -> str:
        """All it says in words."""
        return "\n".join(block.text for block in self.result.content if isinstance(block, TextContent))

    @property
    def content(self) -> list[ContentBlock]:
        return self.result.content

    @property
    def is_error(self) -> bool:
        """Whether the tool says that it failed."""
        return bool(self.result.is_error)

    @property
    def data(self) -> dict[str, Any]:
        """The structured part."""
        assert isinstance(self.result.structured_content, dict), self.text
        return self.result.structured_content

    @property
    def job_id(self) -> str:
        """The job that it is about."""
        return str(self.data["job_id"])

    @property
    def state(self) -> str:
        """How that job is."""
        return str(self.data["state"])

    @property
    def output(self) -> dict[str, Any]:
        """What that job, which is completed, had to say."""
        assert self.state == "completed", self.text
        return cast("dict[str, Any]", self.data["output"])


class Caller:
    """One principal, connected to one front end."""

    def __init__(self, client: Client, http: httpx2.AsyncClient, key: str | None) -> None:
        self.client = client
        self.http = http
        self.key = key

    async def call(self, tool: str, /, *, progress: ProgressFnT | None = None, **arguments: Any) -> Answer:
        """Call a tool once."""
        return await self.call_with(tool, arguments, progress)

    async def call_with(self, tool: str, arguments: dict[str, Any], progress: ProgressFnT | None = None) -> Answer:
        """The same, with the arguments as a client sends them."""
        return Answer(await self.client.call_tool(tool, arguments, progress_callback=progress))

    async def tools(self) -> dict[str, Tool]:
        """The tools there are."""
        return {tool.name: tool for tool in (await self.client.list_tools()).tools}

    async def upload(self, content: bytes, name: str, mime_type: str) -> str:
        """Upload a file as a client does; returns the reference to it."""
        place = (await self.call("create_upload", name=name, mime_type=mime_type)).data
        response = await self.http.put(place["upload_url"], content=content)
        assert response.status_code == 201, response.text
        return f"artifact:{place['artifact_id']}"

    async def download(self, artifact: dict[str, Any]) -> bytes:
        """Fetch an artifact of an answer by its link."""
        response = await self.http.get(artifact["download_url"])
        assert response.status_code == 200, response.text
        return response.content


@asynccontextmanager
async def connected(endpoint: str, key: str | None, mode: Mode) -> AsyncIterator[Caller]:
    """Connect the official client; the second HTTP client, for links, knows no key."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = httpx2.Timeout(10.0, read=60.0)
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout, trust_env=False) as keyed,
        httpx2.AsyncClient(timeout=timeout, trust_env=False) as plain,
        Client(streamable_http_client(endpoint, http_client=keyed), mode=mode) as client,
    ):
        yield Caller(client, plain, key)


def begin_call(endpoint: str, key: str | None, tool: str, arguments: dict[str, Any]) -> http.client.HTTPConnection:
    """Send one legacy ``tools/call`` and return the connection without reading the answer; close it to leave."""
    parts = urlsplit(endpoint)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    headers = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": "2025-11-25",
    }
    if key:
        headers["Authorization"] = f"Bearer {key}"
    connection.request("POST", parts.path, json.dumps(body), headers)
    return connection
