"""``offloop settings``: every setting with its current value, its default and its meaning."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from offloop import settings as configuration
from offloop.cli.terminal import give
from offloop.settings import Settings


def commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command("settings")(show)


def show(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show every setting: current value, default, meaning. Secrets are masked."""
    rows = describe(configuration.load())
    if as_json:
        give(rows)
        return
    console = Console(highlight=False)
    for row in rows:
        value = "not set" if row["value"] in (None, "", [], {}) else str(row["value"])
        console.print(Text.assemble((row["name"], "bold"), " = ", value, "" if row["given"] else " (default)"))
        console.print(Padding(Text(row["meaning"]), (0, 0, 1, 4)))


def describe(settings: Settings) -> list[dict[str, Any]]:
    """One row per setting: ``{name, value, given, default, meaning}``."""
    return [
        {
            "name": Settings.variable(name),
            "value": masked(name, getattr(settings, name)),
            "given": name in settings.model_fields_set,
            "default": masked(name, field.get_default(call_default_factory=True)),
            "meaning": field.description or "",
        }
        for name, field in Settings.model_fields.items()
    ]


def masked(name: str, value: Any) -> Any:
    """A setting's value as plain data, with secrets masked."""
    if isinstance(value, str) and name == "api_keys" and not value.startswith("@"):
        return ",".join(f"{pair.partition(':')[0].strip()}:***" for pair in value.split(","))
    if isinstance(value, str) and name.endswith("_url"):
        return re.sub(r"(?<=:)[^:/@]*(?=@)", "***", value)
    if name in ("sql", "source"):
        return {
            key: url if url.startswith("sqlite:") else f"{url.partition('://')[0]}://***" for key, url in value.items()
        }
    if isinstance(value, dict):
        return {key: str(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, (bool, int, str, type(None))) else str(value)
