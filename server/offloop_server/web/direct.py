"""Direct answers: a call that ends soon is answered without the parts of a stream.

To be able to stream, the SDK makes a task group, a channel and a watch for each call. That is almost half of its CPU
time for a call, and most calls end within milliseconds. So a call begins at a session manager that answers in JSON. If
it lasts longer than `SOON`, it is *continued in a stream*: the streaming session manager gets the same request, and its
handler waits for the result of the running tool. Keep-alives, and the end of a call whose client has left, are the
SDK's from then on, so a client that leaves is noticed after `SOON` at the latest.

A call that asks for progress has a stream from the start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, CallToolResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SOON: Final = 0.5
"""Seconds after which a call is continued in a stream."""

_DIRECT: Final = "offloop.direct"
_CONTINUED: Final = "offloop.continued"
_MODERN: Final = frozenset(version.encode() for version in MODERN_PROTOCOL_VERSIONS)
_ELSEWHERE: Final = CallToolResult(content=[])
"""Answer of the direct session manager to a call that is continued; it is dropped."""

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Direct:
    """Calls as an ASGI application.

    Args:
        direct: answers in JSON.
        streaming: answers in JSON or with a stream.
        spawn: runs a coroutine in a task of its own.
    """

    def __init__(self, direct: ASGIApp, streaming: ASGIApp, spawn: Spawn) -> None:
        self._direct = direct
        self._streaming = streaming
        self._spawn = spawn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        if _begins_directly(scope, message):
            await _Call(scope, message, receive, send).serve(self._direct, self._streaming, self._spawn)
        else:
            await self._streaming(scope, _Replay(message, receive), send)


async def run(scope: Mapping[str, Any], tool: Callable[[], Awaitable[CallToolResult]]) -> CallToolResult:
    """Run the tool of a request; of a call that is continued, wait for the tool that runs."""
    continued: _Call | None = scope.get(_CONTINUED)
    if continued:
        return await continued.result()
    begun: _Call | None = scope.get(_DIRECT)
    return await (begun.run(tool) if begun else tool())


class _Call:
    """A call that begins directly. Its request's task runs the tool to the end."""

    __slots__ = ("_left", "_message", "_over", "_receive", "_result", "_scope", "_send", "_task", "_timer")

    def __init__(self, scope: Scope, message: Message, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._message = message
        self._receive = receive
        self._send = send
        self._left = False
        self._result: asyncio.Future[CallToolResult] = asyncio.get_running_loop().create_future()
        self._over: asyncio.Future[None] | None = None

    async def serve(self, direct: ASGIApp, streaming: ASGIApp, spawn: Spawn) -> None:
        self._scope[_DIRECT] = self
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(SOON, self._continue, streaming, spawn)
        try:
            await direct(self._scope, _Replay(self._message, self._receive), self._answer)
        except asyncio.CancelledError:
            if self._over:
                await asyncio.shield(self._over)
            if not self._left:
                raise
            if self._task:
                self._task.uncancel()
        finally:
            self._timer.cancel()
        if self._over:
            await asyncio.shield(self._over)  # a cancellation ends the wait, and not the future
        del self._scope[_DIRECT]  # else each call would be a cycle, for the garbage collector

    async def run(self, tool: Callable[[], Awaitable[CallToolResult]]) -> CallToolResult:
        try:
            result = await tool()
        except BaseException as error:
            if self._over and not self._result.done():
                stopped = MCPError(INTERNAL_ERROR, "The server was stopped before the call had ended.")
                self._result.set_exception(error if isinstance(error, Exception) else stopped)
            raise
        finally:
            self._timer.cancel()
        if self._over is None:
            return result
        if not self._result.done():
            self._result.set_result(result)
        return _ELSEWHERE

    async def result(self) -> CallToolResult:
        """The result of the running tool; a cancellation, by a client that leaves, ends the tool."""
        try:
            return await self._result
        except asyncio.CancelledError:
            if self._result.cancelled() and self._task:
                self._left = True
                self._task.cancel()
            raise

    async def _answer(self, message: Message) -> None:
        self._timer.cancel()  # an answer that has begun is not continued
        if self._over is None:
            await self._send(message)

    def _continue(self, streaming: ASGIApp, spawn: Spawn) -> None:
        self._over = asyncio.get_running_loop().create_future()
        spawn(self._stream(streaming, self._over))

    async def _stream(self, streaming: ASGIApp, over: asyncio.Future[None]) -> None:
        scope = {**self._scope, _CONTINUED: self}
        try:
            await streaming(scope, _Replay(self._message, self._receive), self._send)
        finally:
            over.set_result(None)


class _Replay:
    """Receives a message once more, and what follows it."""

    __slots__ = ("_message", "_receive")

    def __init__(self, message: Message, receive: Receive) -> None:
        self._message: Message | None = message
        self._receive = receive

    async def __call__(self) -> Message:
        if self._message is None:
            return await self._receive()
        message, self._message = self._message, None
        return message


def _begins_directly(scope: Scope, message: Message) -> bool:
    """Whether a request is a whole call, of a client that takes a stream, without progress."""
    if message["type"] != "http.request" or message.get("more_body"):
        return False
    headers, body = dict(scope["headers"]), message["body"]
    return (
        headers.get(b"mcp-method") == b"tools/call"
        and headers.get(b"mcp-protocol-version") in _MODERN
        and b"text/event-stream" in headers.get(b"accept", b"")
        and b"progressToken" not in body
        and b"\\u00" not in body  # an ASCII letter may be written so, also one of that name
    )
