"""Direct answers: a call that ends soon has no stream, a longer one is continued in a stream and runs once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolRequestParams, CallToolResult, TextContent

from offloop_server.web import direct
from offloop_server.web.direct import Direct

pytestmark = pytest.mark.anyio

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
HEADERS = {
    "accept": "application/json, text/event-stream",
    "content-type": "application/json",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "wait",
}


@dataclass
class Request:
    """A request of a client: its body in pieces, and what it got."""

    pieces: list[bytes]
    left: asyncio.Event = field(default_factory=asyncio.Event)
    sent: list[dict[str, Any]] = field(default_factory=list)

    async def receive(self) -> dict[str, Any]:
        if self.pieces:
            piece = self.pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def type(self) -> str:
        """Content type of the answer."""
        return str(dict(self.sent[0]["headers"])[b"content-type"].decode())

    @property
    def answer(self) -> dict[str, Any]:
        """The JSON-RPC message of the answer, which is complete."""
        assert [message["type"] for message in self.sent[:2]] == ["http.response.start", "http.response.body"]
        assert not self.sent[-1].get("more_body")
        body = b"".join(message["body"] for message in self.sent[1:])
        found: dict[str, Any] = json.loads(body.rpartition(b"data: ")[2])
        return found


class Calls:
    """A server with one tool, which waits for `go`, and the sort of each of its answers."""

    def __init__(self) -> None:
        self.go, self.began, self.cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.streamed = asyncio.Event()
        self.runs = 0
        self.error: Exception | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self.managers = [self._manager(json_response=True), self._manager(json_response=False)]
        self.app = Direct(self.managers[0].handle_request, self._stream, self._spawn)

    def _manager(self, *, json_response: bool) -> StreamableHTTPSessionManager:
        return StreamableHTTPSessionManager(
            Server("test", on_call_tool=self._call), json_response=json_response, stateless=True
        )

    async def _call(self, context: Any, _params: CallToolRequestParams) -> CallToolResult:
        async def tool() -> CallToolResult:
            self.runs += 1
            self.began.set()
            try:
                await context.session.report_progress(1, 2, "half")
                await self.go.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            if self.error:
                raise self.error
            return CallToolResult(content=[TextContent(text="done")])

        return await direct.run(context.request.scope, tool)

    async def _stream(self, scope: Any, receive: Any, send: Any) -> None:
        self.streamed.set()
        await self.managers[1].handle_request(scope, receive, send)

    def _spawn(self, stream: Any) -> None:
        task = asyncio.create_task(stream)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def serve(self, request: Request, headers: dict[str, str] | None = None) -> None:
        """Serve one request."""
        sent = [(name.encode(), value.encode()) for name, value in {**HEADERS, **(headers or {})}.items()]
        scope = {"type": "http", "method": "POST", "path": "/mcp", "query_string": b"", "headers": sent}
        await self.app(scope, request.receive, request.send)


def body(**meta: Any) -> bytes:
    params = {"name": "wait", "arguments": {}, "_meta": {**META, **meta}}
    return json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).encode()


@pytest.fixture
async def calls() -> AsyncIterator[Calls]:
    """The server."""
    calls = Calls()
    async with AsyncExitStack() as stack:
        for manager in calls.managers:
            await stack.enter_async_context(manager.run())
        async with asyncio.timeout(30):
            yield calls
    assert not calls.tasks


@pytest.fixture
def continued(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are continued as soon as they wait for something."""
    monkeypatch.setattr(direct, "SOON", 0)


async def test_a_call_that_ends_soon_is_answered_without_a_stream(calls: Calls) -> None:
    calls.go.set()
    request = Request([body()])
    await calls.serve(request)
    assert request.answer["result"]["content"] == [{"type": "text", "text": "done"}]
    assert not calls.streamed.is_set()


@pytest.mark.usefixtures("continued")
async def test_a_longer_call_is_continued_in_a_stream_and_runs_once(calls: Calls) -> None:
    request = Request([body()])
    async with asyncio.TaskGroup() as group:
        _ = group.create_task(calls.serve(request))
        await calls.streamed.wait()
        calls.go.set()
    assert request.answer["id"] == 7
    assert request.answer["result"]["content"] == [{"type": "text", "text": "done"}]
    assert calls.runs == 1


@pytest.mark.usefixtures("continued")
async def test_an_error_of_a_continued_call_is_answered_as_one(calls: Calls) -> None:
    calls.error = MCPError(INVALID_PARAMS, "no such thing")
    request = Request([body()])
    async with asyncio.TaskGroup() as group:
        _ = group.create_task(calls.serve(request))
        await calls.streamed.wait()
        calls.go.set()
    assert request.answer["error"]["message"] == "no such thing"


@pytest.mark.usefixtures("continued")
async def test_a_client_that_leaves_ends_the_tool_of_a_continued_call(calls: Calls) -> None:
    request = Request([body()])
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(calls.serve(request))
        await calls.streamed.wait()
        request.left.set()
        await calls.cancelled.wait()
    assert not serving.cancelled()
    assert request.sent == []


@pytest.mark.usefixtures("continued")
async def test_a_server_that_stops_answers_a_continued_call_with_an_error(calls: Calls) -> None:
    request = Request([body()])
    serving = asyncio.create_task(calls.serve(request))
    await calls.streamed.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert calls.cancelled.is_set()
    assert "stopped" in request.answer["error"]["message"]


@pytest.mark.usefixtures("continued")
async def test_a_server_that_stops_while_a_stream_ends_lets_it_end(calls: Calls) -> None:
    ended, release = asyncio.Event(), asyncio.Event()
    streams: list[asyncio.Task[None]] = []

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await calls._stream(scope, receive, send)
        ended.set()
        await release.wait()

    def spawn(work: Any) -> None:
        streams.append(asyncio.create_task(work))

    calls.app = Direct(calls.managers[0].handle_request, stream, spawn)
    request = Request([body()])
    serving = asyncio.create_task(calls.serve(request))
    await calls.streamed.wait()
    calls.go.set()
    await ended.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    release.set()
    [streaming] = streams
    await streaming
    assert request.answer["result"]["content"]


async def test_a_server_that_stops_ends_a_direct_call(calls: Calls) -> None:
    request = Request([body()])
    serving = asyncio.create_task(calls.serve(request))
    await calls.began.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert calls.cancelled.is_set()


@pytest.mark.parametrize("escaped", [False, True])
async def test_a_call_that_asks_for_progress_has_a_stream_from_the_start(calls: Calls, *, escaped: bool) -> None:
    calls.go.set()
    asking = body(progressToken="token")
    request = Request([asking.replace(b"progressToken", b"\\u0070rogressToken") if escaped else asking])
    await calls.serve(request)
    assert calls.streamed.is_set()
    assert request.type == "text/event-stream"
    assert b"half" in request.sent[1]["body"]
    assert request.answer["result"]["content"]


_OTHERS: dict[str, Callable[[], tuple[Request, dict[str, str]]]] = {
    "a body in pieces": lambda: (Request([body()[:20], body()[20:]]), {}),
    "a protocol of sessions": lambda: (Request([body()]), {"mcp-protocol-version": "2025-11-25"}),
    "a client that takes no stream": lambda: (Request([body()]), {"accept": "application/json"}),
    "a call that is none by its header": lambda: (Request([body()]), {"mcp-method": "tools/list"}),
}


@pytest.mark.parametrize("what", _OTHERS)
async def test_the_streaming_session_manager_answers_everything_else(calls: Calls, what: str) -> None:
    calls.go.set()
    request, headers = _OTHERS[what]()
    await calls.serve(request, headers)
    assert calls.streamed.is_set()
    assert request.sent[0]["type"] == "http.response.start"
