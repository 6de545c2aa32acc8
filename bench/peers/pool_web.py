"""In-process bound: an MCP server that runs the tools in its own pool of two processes, warmed up."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from mcp.server.lowlevel import Server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool

from bench import rendering
from bench.peers.web import WebPeer

POOL = 2
_TOOLS = [Tool(name=name, input_schema={"type": "object"}) for name in ("noop", "render", "light")]


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a pool.

    Attributes:
        start: the start method; ``None`` is Python's default, fork before 3.14.
        tasks: after which a process is replaced. Such a pool is a `multiprocessing.pool.Pool`, because
            ProcessPoolExecutor hangs with ``max_tasks_per_child`` (Python 3.11), and refuses it with fork.
    """

    start: str | None = None
    tasks: int | None = None


SETTINGS: Final = {
    "mcp-pool": Settings(),
    "mcp-pool-fork": Settings("fork"),
    "mcp-pool-spawn": Settings("spawn"),
    "mcp-pool-forkserver": Settings("forkserver"),
    "mcp-pool-fork-10": Settings("fork", 10),
    "mcp-pool-forkserver-10": Settings("forkserver", 10),
}
"""Settings by stack."""

_Run = Callable[..., Awaitable[Any]]


class PoolWeb(WebPeer):
    """The official SDK's low-level server, stateless, as offloop's own."""

    async def serve(self, redis_url: str, port: int) -> None:  # noqa: ARG002 -- it has no queue
        with _pool(SETTINGS[self.name]) as run_in_pool:

            async def run(name: str, arguments: dict[str, Any]) -> Any:
                if name == "noop":
                    return await run_in_pool(rendering.noop)
                return await run_in_pool(rendering.render, arguments["html"])

            await asyncio.gather(*(run("noop", {}) for _ in range(POOL * 2)))
            await serve(run, port)


@contextmanager
def _pool(settings: Settings) -> Iterator[_Run]:
    """A pool, as a function that calls another in one of its processes."""
    context = multiprocessing.get_context(settings.start)
    if settings.start == "forkserver":  # else each new process imports everything
        context.set_forkserver_preload(["offloop.jobs.pdf", "offloop_workers.pdf.rendering.render"])
    loop = asyncio.get_running_loop()
    if settings.tasks is None:
        with ProcessPoolExecutor(POOL, context, initializer=rendering.warm) as executor:
            yield lambda call, *arguments: loop.run_in_executor(executor, call, *arguments)
        return

    with context.Pool(POOL, rendering.warm, maxtasksperchild=settings.tasks) as pool:

        def run(call: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
            answer = loop.create_future()

            pool.apply_async(
                call,
                arguments,
                callback=lambda value: loop.call_soon_threadsafe(answer.set_result, value),
                error_callback=lambda error: loop.call_soon_threadsafe(answer.set_exception, error),
            )
            return answer

        yield run


async def serve(run: Any, port: int) -> None:
    """Serve the three tools; `run` does what ``noop`` and ``render`` do."""

    async def list_tools(_context: Any, _params: Any) -> ListToolsResult:
        return ListToolsResult(tools=_TOOLS)

    async def call_tool(_context: Any, params: CallToolRequestParams) -> CallToolResult:
        answer = None if params.name == "light" else await run(params.name, params.arguments or {})
        return CallToolResult(
            content=[TextContent(type="text", text=str(answer))], structured_content={"answer": answer}
        )

    server: Server[Any] = Server(
        "peer",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=lambda name: next((tool.input_schema for tool in _TOOLS if tool.name == name), None),
    )
    app = server.streamable_http_app(stateless_http=True, json_response=False)
    await uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning")).serve()


def peer(name: str) -> PoolWeb:
    """The stack of that name."""
    return PoolWeb(name)
