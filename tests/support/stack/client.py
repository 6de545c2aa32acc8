"""Official Python MCP client with helpers, and a raw request for what the client does not allow."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.dispatcher import ProgressFnT
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    CallToolResult,
    ContentBlock,
    TextContent,
    Tool,
)
from mcp_types.version import LATEST_MODERN_VERSION

Mode = Literal["auto", "legacy"]

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""`verify` of HTTP clients that use no TLS: the default loads all CA certificates for each client, 27 ms of CPU."""


@dataclass(frozen=True)
class Answer:
    """A tool's answer."""

    result: CallToolResult

    @property
    def text(self) -> str:
        """All text blocks."""
        return "\n".join(block.text for block in self.result.content if isinstance(block, TextContent))

    @property
    def content(self) -> list[ContentBlock]:
        return self.result.content

    @property
    def is_error(self) -> bool:
        """Whether the call failed."""
        return bool(self.result.is_error)

    @property
    def data(self) -> dict[str, Any]:
        """The structured content."""
        assert isinstance(self.result.structured_content, dict), self.text
        return self.result.structured_content

    @property
    def job_id(self) -> str:
        """Id of the job."""
        return str(self.data["job_id"])

    @property
    def state(self) -> str:
        """State of the job."""
        return str(self.data["state"])

    @property
    def output(self) -> dict[str, Any]:
        """Output of the job, which must be completed."""
        assert self.state == "completed", self.text
        return cast("dict[str, Any]", self.data["output"])


class Caller:
    """One principal, connected to one front end."""

    def __init__(self, client: Client, http: httpx2.AsyncClient, key: str | None) -> None:
        self.client = client
        self.http = http
        self.key = key

    async def call(self, tool: str, /, *, progress: ProgressFnT | None = None, **arguments: Any) -> Answer:
        """Call a tool."""
        return await self.call_with(tool, arguments, progress)

    async def call_with(self, tool: str, arguments: dict[str, Any], progress: ProgressFnT | None = None) -> Answer:
        """Call a tool with its arguments as a dict."""
        return Answer(await self.client.call_tool(tool, arguments, progress_callback=progress))

    async def tools(self) -> dict[str, Tool]:
        """The listed tools by name."""
        return {tool.name: tool for tool in (await self.client.list_tools()).tools}

    async def upload(self, content: bytes, name: str, mime_type: str) -> str:
        """Upload a file; returns its reference."""
        upload = (await self.call("create_upload", name=name, mime_type=mime_type)).data
        response = await self.http.put(upload["upload_url"], content=content)
        assert response.status_code == 201, response.text
        return f"artifact:{upload['artifact_id']}"

    async def download(self, artifact: dict[str, Any]) -> bytes:
        """Download an artifact of an answer by its link."""
        response = await self.http.get(artifact["download_url"])
        assert response.status_code == 200, response.text
        return response.content


@asynccontextmanager
async def connected(endpoint: str, key: str | None, mode: Mode) -> AsyncIterator[Caller]:
    """Connect the official client; a second HTTP client, for signed links, has no key."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = httpx2.Timeout(10.0, read=60.0)
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout, trust_env=False, verify=PLAIN) as keyed,
        httpx2.AsyncClient(timeout=timeout, trust_env=False, verify=PLAIN) as plain,
        Client(streamable_http_client(endpoint, http_client=keyed), mode=mode) as client,
    ):
        yield Caller(client, plain, key)


def assert_indistinguishable(foreign: Answer, foreign_id: str, unknown: Answer, unknown_id: str) -> None:
    """Check that both answers are errors that differ only in the id of the request."""
    assert foreign.is_error
    assert unknown.is_error
    assert foreign.text.replace(foreign_id, "?") == unknown.text.replace(unknown_id, "?")
    structured = [json.dumps(answer.result.structured_content) for answer in (foreign, unknown)]
    assert structured[0].replace(foreign_id, "?") == structured[1].replace(unknown_id, "?")


def begin_call(
    endpoint: str, key: str | None, tool: str, arguments: dict[str, Any], *, legacy: bool = False
) -> http.client.HTTPConnection:
    """Send one ``tools/call`` and return the connection without reading the answer; closing it disconnects."""
    parts = urlsplit(endpoint)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    params: dict[str, Any] = {"name": tool, "arguments": arguments}
    version = "2025-11-25" if legacy else LATEST_MODERN_VERSION
    headers = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": version,
    }
    if not legacy:
        headers |= {"Mcp-Method": "tools/call", "Mcp-Name": tool}
        params["_meta"] = {PROTOCOL_VERSION_META_KEY: version, CLIENT_CAPABILITIES_META_KEY: {}}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    connection.request("POST", parts.path, json.dumps(body), headers)
    return connection
