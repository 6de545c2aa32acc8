"""`offloop demo`, and the client of the command line, against a running stack."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from offloop.errors import BadInput, JobError, OffloopError
from offloop.settings import load
from offloop_server.cli import demo
from offloop_server.client import Offloop
from support.files.pictures import PHOTO
from support.stack.stack import MAX_UPLOAD_MB, Stack


async def _first_line(url: str, key: str | None) -> str:
    try:
        async with Offloop(url, key) as offloop:
            await offloop.tools()
    except OffloopError as error:
        return error.message
    return ""


def test_the_demo_renders_shrinks_and_hashes(stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = stack.front_ends[0].endpoint
    assert asyncio.run(demo._run(load({}), url, stack.new_key(), tmp_path)) == 0
    guide, thumbnail, digest, end = capsys.readouterr().out.splitlines()
    assert "guide.md -> PDF" in guide
    assert "photo.jpg -> WebP" in thumbnail
    assert "same as hashlib" in digest
    assert end == f"The results are in {tmp_path}/"
    assert {path.name for path in tmp_path.iterdir()} == {"guide.pdf", "thumbnail.webp", "photo.jpg.sha256"}


def test_a_refusal_of_the_front_end_is_explained(stack: Stack) -> None:
    front_end = stack.front_ends[0]
    key = stack.new_key()

    async def messages() -> list[str]:
        return list(
            await asyncio.gather(
                _first_line(front_end.endpoint, None),
                _first_line(front_end.endpoint, "an-unknown-key-of-someone"),
                _first_line(f"{front_end.base}/nothing", key),
                _first_line("127.0.0.1:8750/mcp", key),
            )
        )

    without, unknown, elsewhere, no_url = asyncio.run(messages())
    assert "wants an API key" in without
    assert "API key" in unknown
    assert "offloop's ends in /mcp" in elsewhere
    assert "looks like http://host:port/mcp" in no_url


def test_a_failed_job_and_a_refused_upload_are_errors(stack: Stack, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(bytes((MAX_UPLOAD_MB << 20) + 1))

    async def scenario() -> None:
        async with Offloop(stack.front_ends[0].endpoint, stack.new_key()) as offloop:
            with pytest.raises(OffloopError, match=r"large\.bin was refused \(413\)"):
                await offloop.upload(large)
            with pytest.raises(BadInput, match="cannot read"):
                await offloop.upload(tmp_path / "none")
            photo = await offloop.upload(PHOTO, "text/plain")
            with pytest.raises(JobError) as failed:
                await offloop.run("render_pdf", {"template": "{% if %}", "data": {}})
            assert failed.value.code
            answer = await offloop.run("hash_file", {"file": photo})
            assert answer["state"] == "completed"

    asyncio.run(scenario())
