"""A client of offloop: the official MCP client with waiting, uploads and downloads.

It calls a tool, waits for the end of the job beyond the wait budget, uploads inputs and downloads results. The command
line uses it, and scripts can::

    async with Offloop("http://127.0.0.1:8750/mcp") as offloop:
        answer = await offloop.run("render_pdf", {"markdown": "# Hello"})
        await offloop.download(answer["artifacts"][0], Path("."))
"""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent, Tool

from offloop.errors import BadInput, JobError, OffloopError, Unavailable, leaves

ENDED = frozenset({"completed", "failed", "cancelled"})
WAIT_SECONDS = 20
_CHUNK = 1 << 20


class Offloop:
    """A connection to one front end, used as an async context manager."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._status = 200
        self._http = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(30.0, read=120.0),
            event_hooks={"response": [self._remember]},
        )
        # A separate client, so that the key is never sent to the target of a link.
        self._links = httpx2.AsyncClient(timeout=httpx2.Timeout(30.0, read=120.0))
        self._stack = AsyncExitStack()
        self._client: Client | None = None
        self._tools: dict[str, Tool] = {}

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            Unavailable: nothing answers at the address.
            OffloopError: the server refuses the key, or does not speak MCP.
        """
        try:
            await self._stack.enter_async_context(self._http)
            await self._stack.enter_async_context(self._links)
            transport = streamable_http_client(self.url, http_client=self._http)
            self._client = await self._stack.enter_async_context(Client(transport))
        except Exception as error:
            await self._stack.aclose()
            raise self._explained(error) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect; a broken connection is explained, a failure inside the block is raised unchanged."""
        try:
            await self._stack.__aexit__(kind, error, trace)
        except Exception as failure:
            if not isinstance(error, Exception):
                raise self._explained(failure) from failure

    async def tools(self) -> dict[str, Tool]:
        """All tools by name."""
        cursor: str | None = None
        while not self._tools or cursor:
            page = await self._connected.list_tools(cursor=cursor)
            self._tools |= {tool.name: tool for tool in page.tools}
            cursor = page.next_cursor
        return self._tools

    async def call(
        self, tool: str, arguments: dict[str, Any], on_progress: ProgressFnT | None = None
    ) -> CallToolResult:
        """Call a tool once and return its answer, also if it is an error."""
        try:
            return await self._connected.call_tool(tool, arguments, progress_callback=on_progress)
        except MCPError as error:
            raise self._explained(error) from error

    async def follow(
        self, tool: str, arguments: dict[str, Any], on_progress: ProgressFnT | None = None
    ) -> CallToolResult:
        """Call a job's tool and poll until the job has ended; returns the last answer."""
        result = await self.call(tool, arguments, on_progress)
        while not result.is_error and state_of(result) not in ENDED:
            job_id = result.structured_content["job_id"]
            result = await self.call("job_status", {"job_id": job_id, "wait_seconds": WAIT_SECONDS}, on_progress)
        return result

    async def run(self, tool: str, arguments: dict[str, Any], on_progress: ProgressFnT | None = None) -> dict[str, Any]:
        """Run a job to its end and return its structured answer.

        Raises:
            JobError: the job failed, was refused or cancelled; the message is the tool's own.
            Unavailable: the front end does not answer.
        """
        result = await self.follow(tool, arguments, on_progress)
        answer = result.structured_content if isinstance(result.structured_content, dict) else {}
        if result.is_error or answer.get("state", "completed") != "completed":
            error = answer.get("error") or {}
            raise JobError(text_of(result), code=error.get("code"), retryable=error.get("retryable"))
        return answer

    async def upload(self, path: Path, mime_type: str | None = None) -> str:
        """Upload a file and return the reference to it, ``artifact:<id>``.

        Raises:
            BadInput: the file cannot be read.
            Unavailable: the front end refuses it.
        """
        mime_type = mime_type or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        try:
            content = await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            message = f"cannot read {path}: {error.strerror}"
            raise BadInput(message) from error
        reserved = await self.run("create_upload", {"name": path.name, "mime_type": mime_type})
        try:
            response = await self._links.put(
                reserved["upload_url"], content=content, headers={"Content-Type": mime_type}
            )
        except httpx2.HTTPError as error:
            raise self._explained(error) from error
        if response.is_error:
            message = f"the upload of {path.name} was refused ({response.status_code}): {response.text[:300]}"
            raise Unavailable(message)
        return f"artifact:{reserved['artifact_id']}"

    async def download(self, artifact: dict[str, Any], folder: Path) -> Path:
        """Download an artifact of an answer into `folder`, under its own name, and check its digest.

        Raises:
            Unavailable: the link does not answer, or the digest of the download is wrong.
        """
        path = folder / Path(artifact["name"]).name
        digest = hashlib.sha256()
        try:
            async with self._links.stream("GET", artifact["download_url"]) as response:
                response.raise_for_status()
                with path.open("wb") as file:
                    async for piece in response.aiter_bytes(_CHUNK):
                        digest.update(piece)
                        await asyncio.to_thread(file.write, piece)
        except httpx2.HTTPError as error:
            raise self._explained(error) from error
        if digest.hexdigest() != artifact["sha256"]:
            message = f"the download of {path.name} is damaged: its SHA-256 differs from the answer's. Try again."
            raise Unavailable(message)
        return path

    @property
    def _connected(self) -> Client:
        if self._client is None:
            message = "enter the context before using the connection"
            raise RuntimeError(message)
        return self._client

    async def _remember(self, response: httpx2.Response) -> None:
        # The SDK turns every refusal into one sentence; the status says which it was.
        self._status = response.status_code

    def _explained(self, error: BaseException) -> BaseException:
        """A failure of the transport as an error for the caller; any other failure unchanged."""
        for leaf in leaves(error):
            match leaf:
                case httpx2.HTTPStatusError():
                    return Unavailable(f"the front end answered {leaf.response.status_code} to a download or upload")
                case httpx2.InvalidURL() | httpx2.UnsupportedProtocol():
                    return BadInput(f"{self.url} is not an address of offloop; it looks like http://host:port/mcp")
                case httpx2.TransportError():
                    message = f"nothing answers at {self.url}. Is offloop running? Start it with ./run or `offloop up`."
                    return Unavailable(message)
                case MCPError():
                    reason = _REFUSALS.get(self._status)
                    return OffloopError(f"{self.url} {reason}" if reason else leaf.message, code="refused")
        return error


_REFUSALS = {
    401: "wants an API key: give one with --key",
    403: "does not accept this API key",
    404: "is not an MCP endpoint: offloop's ends in /mcp",
    413: "says that the request is too large: upload the file (key=@path for a file argument) instead of sending it",
    421: "does not expect this host name: set OFFLOOP_PUBLIC_URL on the front end",
}


def state_of(result: CallToolResult) -> str:
    """The state of the job in an answer; an answer without a job counts as completed."""
    content = result.structured_content
    return str(content.get("state", "completed")) if isinstance(content, dict) else "completed"


def text_of(result: CallToolResult) -> str:
    """The text of an answer."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent)).strip()
