"""The ASGI entry: authentication, refusal of sessions and of large bodies on ``/mcp``, dispatch by path.

Calls go straight to the SDK, everything else to Starlette: its routing and middleware would cost each call a few
percent of its CPU time, for a single path. uvicorn logs an exception and answers 500.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import JSONResponse

from offloop.settings import Settings
from offloop_server.web.auth import Principals, RequirePrincipal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

MAX_BODY: Final = 4 << 20
"""Bytes of one MCP request; larger files are uploaded."""


class Endpoint:
    """Dispatches by path, behind authentication.

    Args:
        mcp: handles calls.
        others: handles everything else, the lifespan included.
        principals: the API keys.
    """

    def __init__(self, mcp: ASGIApp, others: ASGIApp, principals: Principals) -> None:
        self._mcp = RequirePrincipal(mcp, principals)
        self._others = others
        self._guarded = RequirePrincipal(others, principals)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch one request."""
        path = scope["path"] if scope["type"] == "http" else ""
        if path == "/mcp":
            await (_refusal(scope) or self._mcp)(scope, receive, send)
        elif path == "/files":
            await self._guarded(scope, receive, send)
        elif path.rstrip("/") == "/mcp":  # redirected to the path without the slash
            await (_refusal(scope) or self._guarded)(scope, receive, send)
        else:
            await self._others(scope, receive, send)


def _refusal(scope: Scope) -> JSONResponse | None:
    if scope["method"] not in ("POST", "OPTIONS"):
        # Stateless: a GET would open a stream without events, a DELETE has no session to end.
        return JSONResponse(
            {"error": "This endpoint takes POST only: it keeps no sessions."}, 405, headers={"Allow": "POST"}
        )
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if length.isdigit() and int(length) > MAX_BODY:
        message = (
            f"A request may have {MAX_BODY} bytes, this one has {int(length)}: upload the file with create_upload "
            "and pass artifact:<id>."
        )
        return JSONResponse({"error": message}, 413)
    return None


def transport_security(settings: Settings) -> TransportSecuritySettings:
    """The allowed Host and Origin headers: local names, the bound address, and the public URL.

    They protect against DNS rebinding, by which a page in a browser reaches a loopback port under its own host name.
    """
    hosts = {"127.0.0.1", "localhost", "[::1]", settings.host if ":" not in settings.host else f"[{settings.host}]"}
    allowed = [name for host in sorted(hosts) for name in (host, f"{host}:*")]
    origins = [f"{scheme}://{name}" for scheme in ("http", "https") for name in allowed]
    if settings.public_url:
        public = urlsplit(settings.public_url)
        allowed += [public.netloc, public.hostname or ""]
        origins += [f"{public.scheme}://{public.netloc}"]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True, allowed_hosts=allowed, allowed_origins=origins
    )
