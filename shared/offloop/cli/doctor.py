"""``offloop doctor``: check this machine's requirements and print what to fix."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from offloop import logs, settings
from offloop.cli.terminal import give, say

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command("doctor")(examine)


def examine(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check the requirements: Python, Pango, fonts, Redis, artifacts, workers. Exits with 1 if a check fails."""
    from offloop.cli.checks import everything  # noqa: PLC0415 -- half a second of imports, needed only here

    loaded = settings.load()
    logs.configure(loaded, role="doctor")
    checks = asyncio.run(everything(loaded))
    failed = [check for check in checks if check.status == "fail"]
    if as_json:
        give({"ok": not failed, "checks": [asdict(check) for check in checks]})
    else:
        console = Console(highlight=False, soft_wrap=True)
        width = max(len(check.name) for check in checks)
        for check in checks:
            mark = (f"{check.status:<5}", _COLOURS[check.status])
            console.print(Text.assemble(mark, f"{check.name:<{width}}  {check.found}"))
            if check.advice:
                console.print(Text(f"{'':<5}{'':<{width}}  -> {check.advice}"))
    if failed:
        say(f"{len(failed)} of {len(checks)} checks failed: {', '.join(check.name for check in failed)}", failed=True)
        raise typer.Exit(1)
