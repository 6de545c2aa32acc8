"""``offloop call TOOL key=value…``: call a tool through MCP."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offloop import logs, settings
from offloop.cli.extras import need
from offloop.cli.terminal import give, say
from offloop.errors import NotFound
from offloop_server.cli.arguments import Upload, parse, suggestion
from offloop_server.cli.target import Key, Url, endpoint, first_key

if TYPE_CHECKING:
    from mcp_types import CallToolResult

    from offloop_server.client import Offloop


def call(
    tool: Annotated[str, typer.Argument(help="The tool's name, such as render_pdf.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE...", help="Arguments: key=value, key=@file (its text, or the file), key:=json."
        ),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the structured answer.")] = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Call a tool and print its answer; waits until a job is over unless wait_seconds is given."""
    need("call", "server")
    loaded = settings.load()
    logs.configure(loaded, role="call")
    result = asyncio.run(_call(tool, words or [], url or endpoint(loaded), key or first_key(loaded)))
    _print(result, as_json=as_json)


async def _call(tool: str, words: list[str], url: str, key: str | None) -> CallToolResult:
    from offloop_server.cli.progress import Bar  # noqa: PLC0415 -- keeps --help fast
    from offloop_server.client import Offloop  # noqa: PLC0415 -- keeps --help fast: a second of imports

    async with Offloop(url, key) as offloop:
        tools = await offloop.tools()
        if tool not in tools:
            message = f"there is no tool {tool!r}.{suggestion(tool, tools, 'The tools are')}"
            raise NotFound(message)
        schema = tools[tool].input_schema
        arguments = await _uploaded(offloop, parse(words, schema))
        # Tools of jobs have an idempotency key; an explicit wait budget is respected.
        waits = "idempotency_key" in schema.get("properties", {}) and "wait_seconds" not in arguments
        with Bar() as bar:
            bar.begin(tool)
            return await (offloop.follow if waits else offloop.call)(tool, arguments, bar)


async def _uploaded(offloop: Offloop, arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        name: await offloop.upload(Path(value)) if isinstance(value, Upload) else value
        for name, value in arguments.items()
    }


def _print(result: CallToolResult, *, as_json: bool) -> None:
    from offloop_server.client import text_of  # noqa: PLC0415 -- already loaded

    if as_json:
        give(result.structured_content if result.structured_content is not None else {"text": text_of(result)})
    elif not result.is_error:
        typer.echo(text_of(result))
    if result.is_error:
        say(text_of(result), failed=True)
        raise typer.Exit(1)
