"""Detection of the installed extras: ``offloop[server]`` and ``offloop[workers]``."""

from __future__ import annotations

import importlib.util

from offloop.errors import SettingsError

# Libraries that only this extra installs; searched for, never imported.
_MARKERS = {"server": ("mcp", "uvicorn"), "workers": ("weasyprint", "PIL")}


def installed(*extras: str) -> bool:
    """Whether the libraries of all these extras are installed."""
    return all(importlib.util.find_spec(marker) for extra in extras for marker in _MARKERS[extra])


def need(command: str, *extras: str) -> None:
    """Require the libraries of a command.

    Raises:
        SettingsError: some are missing; the message names the extra to install.
    """
    missing = [extra for extra in extras if not installed(extra)]
    if missing:
        message = (
            f"`offloop {command}` needs libraries that are not installed here. "
            f"Install them: pip install 'offloop[{','.join(missing)}]'"
        )
        raise SettingsError(message)
