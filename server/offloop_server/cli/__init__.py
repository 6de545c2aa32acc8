"""The front end's commands: `serve`, `up`, `call` and `demo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offloop.cli.extras import installed
from offloop_server.cli.call import call
from offloop_server.cli.demo import demo
from offloop_server.cli.serve import serve
from offloop_server.cli.up import up

if TYPE_CHECKING:
    import typer


def commands(app: typer.Typer) -> None:
    """Add the commands; those whose libraries are missing are not listed, and say what to install when asked for."""
    for command, extras in (
        (up, ("server", "workers")),
        (serve, ("server",)),
        (call, ("server",)),
        (demo, ("server", "workers")),
    ):
        app.command(command.__name__, hidden=not installed(*extras))(command)
