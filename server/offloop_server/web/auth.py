"""Authentication: API keys as bearer tokens, each for a principal. Without keys, all callers are one principal.

Keys are compared by their SHA-256 in constant time; their plain text is not kept.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse

from offloop.errors import SettingsError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from offloop.settings import Settings

ANONYMOUS: Final = "anonymous"
SCOPE_KEY: Final = "offloop.principal"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MIN_KEY: Final = 16
_KEY: Final = re.compile(rf"[ -~]{{{_MIN_KEY},}}")
"""Printable ASCII: clients encode other characters of a header in different ways, so such a key would match none."""


class Principals:
    """The principals of a deployment, by the hash of their keys."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._names = {hashlib.sha256(key.encode()).digest(): name for name, key in keys.items()}

    @classmethod
    def load(cls, settings: Settings) -> Principals:
        """Read the keys of the settings, or of the file they name.

        Raises:
            SettingsError: an entry is not ``name:key``, a key is too short, or the file cannot be read.
        """
        text = settings.api_keys or ""
        if text.startswith("@"):
            text = _content(text[1:])
        keys: dict[str, str] = {}
        for entry in filter(None, (part.strip() for part in re.split(r"[,\n]", text))):
            name, _, key = entry.partition(":")
            if entry.startswith("#"):
                continue
            usable = _NAME.fullmatch(name) and _KEY.fullmatch(key)
            if not usable or name in keys or key in keys.values():
                message = (
                    f"OFFLOOP_API_KEYS: the entry that begins with {name[:20]!r} must be name:key, with a name and key "
                    f"of their own and a key of at least {_MIN_KEY} ASCII characters (try `openssl rand -hex 32`)."
                )
                raise SettingsError(message)
            keys[name] = key
        if settings.api_keys and not keys:
            message = "OFFLOOP_API_KEYS: it is set but has no entry; add an entry name:key, or unset it to need none."
            raise SettingsError(message)
        return cls(keys)

    @property
    def required(self) -> bool:
        """Whether a key is required."""
        return bool(self._names)

    def find(self, authorization: str | None) -> str | None:
        """The principal of an ``Authorization`` header; None if the header is missing or invalid."""
        if not self.required:
            return ANONYMOUS
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        digest = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).digest()
        found = None
        for known, name in self._names.items():
            if hmac.compare_digest(known, digest):
                found = name
        return found


class RequirePrincipal:
    """ASGI middleware: put the principal into the scope, or answer 401."""

    def __init__(self, app: ASGIApp, principals: Principals) -> None:
        self._app = app
        self._principals = principals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        principal = self._principals.find(_authorization(scope) if self._principals.required else None)
        if principal is None:
            response = JSONResponse(
                {"error": "This server needs an API key: send the header 'Authorization: Bearer <key>'."},
                status_code=401,
                headers={"WWW-Authenticate": 'Bearer realm="offloop"'},
            )
            await response(scope, receive, send)
            return
        scope[SCOPE_KEY] = principal
        await self._app(scope, receive, send)


def _authorization(scope: Scope) -> str | None:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"), None)


def _content(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        message = f"OFFLOOP_API_KEYS: cannot read {path}: {error.strerror}"
    except UnicodeDecodeError:
        message = f"OFFLOOP_API_KEYS: {path} is not UTF-8 text"
    raise SettingsError(message)


def check_binding(settings: Settings, principals: Principals) -> None:
    """Refuse to listen beyond loopback without keys.

    Raises:
        SettingsError: the address is not loopback and there are no keys; the message says what to do.
    """
    if principals.required or settings.insecure or _is_loopback(settings.host):
        return
    message = (
        f"{settings.host} can be reached from other machines and there are no API keys: set "
        "OFFLOOP_API_KEYS=name:key, bind 127.0.0.1, or allow it with --insecure."
    )
    raise SettingsError(message)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
