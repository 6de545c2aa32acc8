"""Target of `call` and `demo`: endpoint and API key."""

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
    """MCP endpoint on this machine: that of a running `offloop up`, else from the settings."""
    up = running.find(settings.state_dir)
    return up.endpoint if up else f"http://{settings.host}:{settings.port}/mcp"


def first_key(settings: Settings) -> str | None:
    """The first configured API key; ``None`` without keys."""
    text = (settings.api_keys or "").strip()
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            return None  # the front end reports the error
    entries = (entry.strip() for entry in re.split(r"[,\n]", text))
    return next((entry.partition(":")[2] for entry in entries if ":" in entry and not entry.startswith("#")), None)
