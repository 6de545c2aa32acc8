"""ASGI: which path leads where, and what the SDK leaves to us on ``/mcp``.

Calls go straight to the SDK. Starlette routes all else: its routing and its middleware would cost each call some
hundredths of its processor time, and there is one path. An exception is logged and answered with 500 by uvicorn.
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
    """Keys, a refusal of sessions we do not keep, and of large bodies.

    Args:
        mcp: answers calls.
        others: answers everything else; the lifespan is its own.
        principals: who may call.
    """

    def __init__(self, mcp: ASGIApp, others: ASGIApp, principals: Principals) -> None:
        self._mcp = RequirePrincipal(mcp, principals)
        self._others = others
        self._guarded = RequirePrincipal(others, principals)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, guard or pass on one request."""
        path = scope["path"] if scope["type"] == "http" else ""
        if path == "/mcp":
            await (_refusal(scope) or self._mcp)(scope, receive, send)
        elif path == "/files":
            await self._guarded(scope, receive, send)
        elif path.rstrip("/") == "/mcp":  # is led to the path without the slash
            await (_refusal(scope) or self._guarded)(scope, receive, send)
        else:
            await self._others(scope, receive, send)


def _refusal(scope: Scope) -> JSONResponse | None:
    if scope["method"] not in ("POST", "OPTIONS"):
        # Stateless: a GET would open a stream on which nothing ever comes, a DELETE has no session to end.
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
    """Which Host and Origin headers are answered: local names, the bound address, and the public URL's.

    A page in a browser can reach a loopback port under a name of its own (DNS rebinding); the Host header tells.
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
