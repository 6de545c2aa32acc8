"""Whom `call` and `demo` talk to: which endpoint, with which key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from offloop.cli import running
from offloop.settings import Settings

Url = Annotated[str | None, typer.Option(help="MCP endpoint; default: the one running here.", show_default=False)]
Key = Annotated[str | None, typer.Option(help="API key; default: the first of OFFLOOP_API_KEYS.", show_default=False)]


def endpoint(settings: Settings) -> str:
    """Where offloop listens on this machine: as a running `offloop up` says, else as the settings say."""
    up = running.find(settings.state_dir)
    return up.endpoint if up else f"http://{settings.host}:{settings.port}/mcp"


def first_key(settings: Settings) -> str | None:
    """Any of the configured API keys, for calls of our own; ``None`` where none is needed."""
    text = (settings.api_keys or "").strip()
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except OSError:
            return None  # the front end says what is wrong with it
    entries = (entry.strip() for entry in re.split(r"[,\n]", text))
    return next((entry.partition(":")[2] for entry in entries if ":" in entry and not entry.startswith("#")), None)
