"""Which parts are installed: ``offloop[server]`` and ``offloop[workers]`` bring their own libraries."""

from __future__ import annotations

import importlib.util

from offloop.errors import SettingsError

# One library each that only this extra brings; looked for, never imported.
_SIGNS = {"server": ("mcp", "uvicorn"), "workers": ("weasyprint", "PIL")}


def installed(*extras: str) -> bool:
    """Whether the libraries of all these extras are here."""
    return all(importlib.util.find_spec(sign) for extra in extras for sign in _SIGNS[extra])


def need(command: str, *extras: str) -> None:
    """Refuse a command whose libraries are missing.

    Raises:
        SettingsError: they are; the message says what to install.
    """
    missing = [extra for extra in extras if not installed(extra)]
    if missing:
        message = (
            f"`offloop {command}` needs libraries that are not installed here. "
            f"Install them: pip install 'offloop[{','.join(missing)}]'"
        )
        raise SettingsError(message)
