"""Client of the command line: downloads, and the end of a broken connection."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent

from offloop.errors import OffloopError, Unavailable
from offloop_server.client import Offloop, state_of

pytestmark = pytest.mark.anyio
_CONTENT = b"content"


def _artifact(sha256: str = hashlib.sha256(_CONTENT).hexdigest()) -> dict[str, Any]:
    return {"name": "../a.txt", "download_url": "http://front-end.test/files/1", "sha256": sha256}


def _answering(status: int, content: bytes = b"") -> Offloop:
    offloop = Offloop("http://front-end.test/mcp")
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, content=content))
    offloop._links = httpx2.AsyncClient(transport=transport)
    return offloop


async def test_a_download_has_its_own_name_below_the_folder(tmp_path: Path) -> None:
    path = await _answering(200, _CONTENT).download(_artifact(), tmp_path)
    assert path == tmp_path / "a.txt"
    assert path.read_bytes() == _CONTENT


async def test_a_damaged_download_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="SHA-256 differs"):
        await _answering(200, b"else").download(_artifact(), tmp_path)


async def test_a_refused_download_is_reported_with_its_status(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="answered 410 to a download"):
        await _answering(410).download(_artifact(), tmp_path)


async def test_an_upload_that_breaks_off_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")  # noqa: EM101 -- of httpx

    async def run(*_: object) -> dict[str, str]:
        return {"upload_url": "http://front-end.test/uploads/1", "artifact_id": "1"}

    offloop = Offloop("http://front-end.test/mcp")
    offloop._links = httpx2.AsyncClient(transport=httpx2.MockTransport(broken))
    monkeypatch.setattr(offloop, "run", run)
    (tmp_path / "file").write_bytes(_CONTENT)
    with pytest.raises(Unavailable, match="nothing answers at"):
        await offloop.upload(tmp_path / "file")


async def test_a_connection_is_used_inside_its_context_only() -> None:
    with pytest.raises(RuntimeError, match="enter the context"):
        await Offloop("http://front-end.test/mcp").tools()


async def test_an_error_of_the_protocol_keeps_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        async def call_tool(self, *_: object, **__: object) -> None:
            raise MCPError(code=-32602, message="no such tool")

    offloop = Offloop("http://front-end.test/mcp")
    monkeypatch.setattr(offloop, "_client", Refusing())
    with pytest.raises(OffloopError, match="no such tool"):
        await offloop.call("x", {})


async def test_a_job_is_polled_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    states = iter(["queued", "running", "completed"])
    calls: list[tuple[str, dict[str, Any]]] = []

    async def call(tool: str, arguments: dict[str, Any], _: object = None) -> CallToolResult:
        calls.append((tool, arguments))
        return CallToolResult(content=[], structured_content={"state": next(states), "job_id": "j"})

    offloop = Offloop("http://front-end.test/mcp")
    monkeypatch.setattr(offloop, "call", call)
    assert (await offloop.run("render_pdf", {"html": "x"}))["state"] == "completed"
    assert [tool for tool, _ in calls] == ["render_pdf", "job_status", "job_status"]
    assert calls[-1][1]["job_id"] == "j"


async def test_a_broken_connection_is_explained_at_the_end_unless_the_block_has_failed_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(*_: object) -> None:
        raise httpx2.ConnectError("lost")  # noqa: EM101 -- of httpx

    offloop = Offloop("http://front-end.test/mcp")
    monkeypatch.setattr(type(offloop._stack), "__aexit__", broken)
    with pytest.raises(Unavailable, match="Is offloop running"):
        await offloop.__aexit__(None, None, None)
    error = ValueError()
    assert await offloop.__aexit__(ValueError, error, None) is None  # type: ignore[func-returns-value]


def test_an_answer_without_a_job_counts_as_completed() -> None:
    assert state_of(CallToolResult(content=[TextContent(type="text", text="x")])) == "completed"
