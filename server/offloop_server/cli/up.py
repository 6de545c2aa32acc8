"""``offloop up``: a complete stack on this machine."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offloop import logs, settings
from offloop.cli.extras import need
from offloop.cli.terminal import say
from offloop.errors import OffloopError
from offloop_server.cli.serve import Host, Insecure, Port
from offloop_server.cli.target import first_key

if TYPE_CHECKING:
    from offloop_server.cli.stack import Stack
    from offloop_server.client import Offloop

_FIRST = """# It works

This page was requested through MCP, rendered by a **worker process** and stored as an artifact.
"""


def up(  # noqa: PLR0913 -- every parameter is an option of the command line
    *,
    host: Host = None,
    port: Port = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes (OFFLOOP_WORKERS).")] = None,
    slots: Annotated[
        int | None, typer.Option(help="Concurrent jobs of each worker; default: the CPU cores (OFFLOOP_SLOTS).")
    ] = None,
    state_dir: Annotated[
        Path | None, typer.Option(help="Folder for jobs and artifacts (OFFLOOP_STATE_DIR).", show_default=False)
    ] = None,
    insecure: Insecure = False,
) -> None:
    """Start everything on this machine: a Valkey (unless OFFLOOP_REDIS_URL is set), the front end, workers."""
    need("up", "server", "workers")
    from offloop_server.cli.stack import Stack, until_signalled  # noqa: PLC0415 -- keeps --help fast

    loaded = settings.load().replaced(
        host=host, port=port, workers=workers, slots=slots, state_dir=state_dir, insecure=insecure or None
    )
    logs.configure(loaded, role="up")
    raise typer.Exit(asyncio.run(until_signalled(_run(Stack(loaded)), stopped=0)))


async def _run(stack: Stack) -> int:
    started = time.monotonic()
    async with stack:
        from offloop_server.client import Offloop  # noqa: PLC0415 -- a second of imports, spent while the parts start

        if not (waiting := await stack.ready()):
            await _first_job(stack, Offloop(stack.endpoint, first_key(stack.settings)), started)
        else:
            say(f"not ready yet: {waiting}. It keeps trying; `offloop doctor` reports what is missing.", failed=True)
        typer.echo(snippets(stack))
        say("Press Ctrl-C to stop.")
        await stack.watch()
    return 0


async def _first_job(stack: Stack, connection: Offloop, started: float) -> None:
    """Render a PDF through MCP, so that the printed endpoint is known to work."""
    if not stack.settings.workers:
        return
    ready = time.monotonic()
    try:
        async with asyncio.timeout(60), connection as offloop:
            answer = await offloop.run("render_pdf", {"markdown": _FIRST, "name": "it-works.pdf"})
    except (OffloopError, TimeoutError) as error:
        why = error.message if isinstance(error, OffloopError) else "no answer within 60 s"
        say(f"the first job, a small PDF, failed: {why} `offloop doctor` reports what is missing.", failed=True)
        return
    output, now = answer["output"], time.monotonic()
    typer.echo(
        f"First job through MCP: a PDF of {output['pages']} page, {output['size']:,} bytes, "
        f"in {now - ready:.2f} s ({now - started:.1f} s since the start)."
    )


def snippets(stack: Stack) -> str:
    """Configuration snippets for MCP clients; no key is printed."""
    public = stack.settings.public_url
    url = f"{public.rstrip('/')}/mcp" if public else stack.endpoint
    header = {"Authorization": "Bearer YOUR-KEY"} if stack.settings.api_keys else {}
    flag = "".join(f' --header "{name}: {value}"' for name, value in header.items())
    server = {"url": url, **({"headers": header} if header else {})}
    program = "offloop" if shutil.which("offloop") else "./run"
    lines = (
        f"\nMCP endpoint: {url}\n",
        f"Claude Code:  claude mcp add --transport http offloop {url}{flag}",
        f"Cursor:       {json.dumps({'mcpServers': {'offloop': server}})}",
        f"VS Code:      {json.dumps({'servers': {'offloop': {'type': 'http', **server}}})}",
        f"Try it:       {program} call render_pdf markdown='# Hello'\n",
    )
    return "\n".join(lines)
