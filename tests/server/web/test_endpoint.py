"""Routing: calls go straight to the SDK, all other paths through Starlette."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from mcp.server.transport_security import TransportSecurityMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from offloop.settings import load
from offloop_server.web.auth import Principals
from offloop_server.web.endpoint import MAX_BODY, Endpoint, transport_security
from support.hosts.asgi import served

pytestmark = pytest.mark.anyio

KEY = "alice-key-0123456789"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}


async def mcp(scope: Any, receive: Any, send: Any) -> None:
    """Endpoint of calls; a request with the header `fail` raises."""
    if (b"fail", b"yes") in scope["headers"]:
        message = "no call is answered like this"
        raise RuntimeError(message)
    await PlainTextResponse("mcp")(scope, receive, send)


async def others(scope: Any, receive: Any, send: Any) -> None:
    """Endpoint of all other paths."""
    await PlainTextResponse("others")(scope, receive, send)


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the endpoint, as uvicorn serves it."""
    async with served(Endpoint(mcp, others, Principals({"alice": KEY}))) as port:
        client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
        async with client:
            yield client


@pytest.mark.parametrize(
    ("path", "by"), [("/mcp", "mcp"), ("/mcp/", "others"), ("/files", "others"), ("/healthz", "others")]
)
async def test_only_the_very_path_leads_straight_to_the_sdk(http: httpx2.AsyncClient, path: str, by: str) -> None:
    assert (await http.post(path, headers=AUTHORIZED)).text == by


@pytest.mark.parametrize(("path", "status"), [("/mcp", 401), ("/mcp/", 401), ("/files", 401), ("/healthz", 200)])
async def test_a_key_is_asked_for_where_work_is_taken(http: httpx2.AsyncClient, path: str, status: int) -> None:
    assert (await http.post(path)).status_code == status


@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
async def test_requests_are_refused_before_they_reach_the_sdk(http: httpx2.AsyncClient, path: str) -> None:
    assert (await http.get(path, headers=AUTHORIZED)).status_code == 405
    assert (await http.post(path, headers=AUTHORIZED, content=b" " * (MAX_BODY + 1))).status_code == 413


async def test_an_exception_is_logged_and_answered_with_500(
    http: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    answer = await http.post("/mcp", headers={**AUTHORIZED, "fail": "yes"})
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert "no call is answered like this" in caplog.text
    assert (await http.post("/mcp", headers=AUTHORIZED)).text == "mcp"


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:8000", None, None),
        ("localhost", "http://localhost:3000", None),
        ("[::1]:8000", "https://[::1]:8000", None),
        ("[fd00::1]:8000", "http://[fd00::1]", None),
        ("jobs.example.com:8443", "https://jobs.example.com:8443", None),
        ("jobs.example.com", None, None),
        ("jobs.example.com:9999", None, 421),
        ("evil.example.com", None, 421),
        ("127.0.0.1.example.com:8000", None, 421),
        ("localhost", "http://evil.example.com", 403),
        ("localhost", "http://jobs.example.com:8443", 403),
    ],
)
async def test_only_local_names_the_bound_address_and_the_public_url_are_served(
    host: str, origin: str | None, status: int | None
) -> None:
    """A page in a browser may reach the port under any name of its own."""
    settings = load({"OFFLOOP_PUBLIC_URL": "https://jobs.example.com:8443/tools", "OFFLOOP_HOST": "fd00::1"})
    headers = {"content-type": "application/json", "host": host} | ({"origin": origin} if origin else {})
    packed = [(name.encode(), value.encode()) for name, value in headers.items()]
    request = Request({"type": "http", "method": "POST", "path": "/mcp", "headers": packed})
    refused = await TransportSecurityMiddleware(transport_security(settings)).validate_request(request, is_post=True)
    assert (refused and refused.status_code) == status
