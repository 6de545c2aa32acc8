"""Core use cases of a client: render documents, shrink pictures, hash files."""

from __future__ import annotations

import hashlib
import io
import random
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

from support.files.documents import Document, documents
from support.stack.client import Mode
from support.stack.stack import Stack

pytestmark = pytest.mark.anyio
MODES: tuple[Mode, ...] = ("auto", "legacy")
ERAS = {"auto": "2026-07-28", "legacy": "2025-11-25"}


def text_of(pdf: bytes) -> tuple[int, str]:
    """Number of pages and text of a PDF, read by another library; whitespace is collapsed."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        texts = []
        for number in range(len(document)):
            page = document[number]
            textpage = page.get_textpage()
            texts.append(textpage.get_text_bounded())
            textpage.close()
            page.close()
        return len(texts), " ".join(" ".join(texts).split())
    finally:
        document.close()


def photo(side: int = 640) -> bytes:
    """A JPEG of noise, which does not compress well."""
    noise = random.Random(7)  # noqa: S311 -- repeatable
    small = Image.new("RGB", (side // 8, side // 8))
    small.putdata([(noise.randrange(256), noise.randrange(256), noise.randrange(256)) for _ in range((side // 8) ** 2)])
    file = io.BytesIO()
    small.resize((side, side)).save(file, "JPEG", quality=95)
    return file.getvalue()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("document", documents(), ids=lambda document: document.name)
async def test_a_document_of_other_people_becomes_a_pdf(stack: Stack, document: Document, mode: Mode) -> None:
    """Through the official client, in both protocol eras; the text is complete."""
    async with stack.client(mode=mode) as caller:
        assert caller.client.protocol_version == ERAS[mode]
        answer = await caller.call_with("render_pdf", {document.format: document.text, "wait_seconds": 50})
        assert answer.output["pages"] >= document.least_pages
        [artifact] = answer.data["artifacts"]
        pdf = await caller.download(artifact)
    pages, text = text_of(pdf)
    assert pages == answer.output["pages"]
    assert document.sentence in text
    assert artifact["mime_type"] == "application/pdf"
    assert (artifact["size"], artifact["sha256"]) == (len(pdf), hashlib.sha256(pdf).hexdigest())


async def test_an_uploaded_photo_becomes_a_smaller_webp(stack: Stack) -> None:
    """create_upload, PUT, transform_image; the result is passed to the next tool by its reference."""
    source = photo()
    async with stack.client() as caller:
        reference = await caller.upload(source, "photo.jpg", "image/jpeg")
        answer = await caller.call("transform_image", image=reference, width=200, format="webp")
        assert (answer.output["width"], answer.output["height"]) == (200, 200)
        [artifact] = answer.data["artifacts"]
        picture = await caller.download(artifact)
        again = await caller.call("hash_file", file=f"artifact:{artifact['artifact_id']}")
    assert len(picture) < len(source)
    assert again.output["digests"] == {"sha256": hashlib.sha256(picture).hexdigest()}
    with Image.open(io.BytesIO(picture)) as opened:
        assert (opened.format, opened.size) == ("WEBP", (200, 200))


@pytest.mark.parametrize("mode", MODES)
async def test_a_file_under_a_root_gets_the_digests_that_hashlib_gives(stack: Stack, mode: Mode) -> None:
    """Several algorithms and the size in one call."""
    content = random.Random(3).randbytes(3_000_000)  # noqa: S311 -- no security needed
    (stack.root / f"digests-{mode}.bin").write_bytes(content)
    algorithms = ["md5", "sha256", "sha512", "blake2b"]
    async with stack.client(mode=mode) as caller:
        answer = await caller.call("hash_file", file=f"root:bed/digests-{mode}.bin", algorithms=algorithms)
    expected = {name: hashlib.new(name, content, usedforsecurity=False).hexdigest() for name in algorithms}
    assert (answer.output["digests"], answer.output["size"]) == (expected, len(content))
    assert answer.output["not_for_security"] == ["md5"]


@pytest.mark.parametrize("mode", MODES)
async def test_progress_arrives_while_the_job_runs_and_only_grows(stack: Stack, mode: Mode) -> None:
    """Four steps in a second and a half are each reported."""
    updates: list[tuple[float, float | None, str | None]] = []

    async def record(progress: float, total: float | None, message: str | None) -> None:
        updates.append((progress, total, message))

    async with stack.client(mode=mode) as caller:
        answer = await caller.call("nap", seconds=1.6, steps=4, progress=record)
    assert answer.output["steps"] == 4
    steps = [done for done, _, _ in updates]
    assert len(steps) >= 2
    assert steps == sorted(set(steps))
    assert updates[0] == (1, 4, "step 1")


async def test_a_job_in_one_new_file_outside_the_repo_is_a_tool(stack: Stack) -> None:
    """It is listed with both schemas and its docstring, and runs in a worker's child, not in the front end."""
    async with stack.client() as caller:
        tool = (await caller.tools())["nap"]
        answer = await caller.call("nap")
    repo = Path(__file__).parents[2]
    assert not (stack.folder / "modules" / "stack_jobs.py").is_relative_to(repo)
    assert (tool.description or "").startswith("Sleep, and report progress.")
    assert set(tool.input_schema["properties"]) == {"seconds", "steps", "wait_seconds", "idempotency_key", "notify_url"}
    assert tool.output_schema
    assert {"job_id", "state", "output", "artifacts", "error"} <= set(tool.output_schema["properties"])
    pids = {process.pid for process in (*stack.front_ends, *stack.workers)}
    assert answer.output["pid"] not in pids


async def test_every_tool_is_described_in_full(stack: Stack) -> None:
    """Name, title, description, both schemas and all four hints; every front end has the same order."""
    async with stack.client(stack.front_ends[0]) as first, stack.client(stack.front_ends[1]) as second:
        tools = await first.tools()
        assert list(tools) == list(await second.tools())
    assert {"render_pdf", "transform_image", "hash_file", "job_status", "wait_for_jobs", "list_jobs"} <= set(tools)
    assert {"cancel_job", "create_upload", "read_artifact"} <= set(tools)
    for tool in tools.values():
        assert tool.title
        assert tool.description
        assert tool.output_schema
        assert tool.input_schema["additionalProperties"] is False
        hints = tool.annotations
        assert hints
        assert None not in (
            hints.read_only_hint,
            hints.destructive_hint,
            hints.idempotent_hint,
            hints.open_world_hint,
        )
