"""Terminal output: messages on standard error, data as JSON on standard output."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console
from rich.text import Text


def console() -> Console:
    """A console on standard error; rich respects NO_COLOR and detects whether there is a terminal."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str, *, failed: bool = False) -> None:
    """Print a message; a failure gets the prefix ``error:``."""
    line = Text.assemble(("error: ", "bold red"), text) if failed else Text(text)
    console().print(line)


def give(data: Any) -> None:
    """Print data as JSON on standard output."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))
