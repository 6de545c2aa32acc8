"""In-process bound: an MCP server that runs the tools in its own pool of two processes, warmed up."""

from __future__ import annotations

import asyncio
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import uvicorn
from mcp.server.lowlevel import Server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool

from bench import rendering
from bench.peers.web import WebPeer

POOL = 2
_TOOLS = [Tool(name=name, input_schema={"type": "object"}) for name in ("noop", "render", "light")]


class PoolWeb(WebPeer):
    """The official SDK's low-level server, stateless, as offloop's own."""

    async def serve(self, redis_url: str, port: int) -> None:  # noqa: ARG002 -- it has no queue
        with ProcessPoolExecutor(POOL, initializer=rendering.warm) as pool:
            loop = asyncio.get_running_loop()

            async def run(name: str, arguments: dict[str, Any]) -> Any:
                if name == "noop":
                    return await loop.run_in_executor(pool, rendering.noop)
                return await loop.run_in_executor(pool, rendering.render, arguments["html"])

            await asyncio.gather(*(run("noop", {}) for _ in range(POOL * 2)))
            await serve(run, port)


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
