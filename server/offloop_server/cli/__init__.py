"""Commands of the front end: `serve`, `up`, `call` and `demo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offloop.cli.extras import installed
from offloop_server.cli import call, demo, serve, up

if TYPE_CHECKING:
    import typer


def commands(app: typer.Typer) -> None:
    """Register the commands; one with missing libraries is hidden, and its error names the extra to install."""
    everything = ("server", "workers")
    app.command("up", hidden=not installed(*everything))(up.up)
    app.command("serve", hidden=not installed("server"))(serve.serve)
    app.command("call", hidden=not installed("server"))(call.call)
    app.command("demo", hidden=not installed(*everything))(demo.demo)
