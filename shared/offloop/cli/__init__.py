"""Command line: ``offloop COMMAND``.

Each import root adds its commands through the entry-point group ``offloop.commands``; only `doctor` and `settings` are
defined here. Data goes to standard output, messages go to standard error. Exit codes: 0 done, 1 failed,
2 wrong usage or settings, 130 interrupted.
"""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Annotated

import typer

from offloop import __version__
from offloop.cli import doctor, show_settings
from offloop.cli.terminal import say
from offloop.errors import OffloopError, SettingsError

GROUP = "offloop.commands"

WRONG_SETTINGS = 2
FAILED = 1


def main() -> None:
    """Run the command line; an `OffloopError` becomes one line on standard error and an exit code."""
    try:
        application()()
    except SettingsError as error:
        _end(error, WRONG_SETTINGS)
    except OffloopError as error:
        _end(error, FAILED)


def application() -> typer.Typer:
    """The application with the commands of this package and of every installed entry point."""
    app = typer.Typer(
        name="offloop",
        help="Heavy work for AI agents, off the event loop. Start everything with: offloop up",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    doctor.commands(app)
    show_settings.commands(app)
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda point: point.name):
        point.load()(app)
    return app


def _show_version(wanted: bool) -> None:  # noqa: FBT001 -- signature of a typer callback
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def _options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Options before the command."""


def _end(error: OffloopError, code: int) -> None:
    say(error.message, failed=True)
    sys.exit(code)
