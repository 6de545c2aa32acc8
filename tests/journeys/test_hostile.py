"""Hostile calls through the whole of offloop, and somebody innocent beside them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Final

import pytest

from hostile import hashing, honest
from hostile.arena import NEVER
from hostile.cases import Case
from hostile.table import CASES
from support.stack.client import Caller
from support.stack.stack import Stack

pytestmark = pytest.mark.anyio

SAMPLE: Final = (
    "render_pdf: grids in grids",
    "render_pdf: variables that double forty times",
    "render_pdf: a template that asks for \"{{ cycler.__init__.__globals__.os.popen('id').read\"",
    "render_pdf: a loop in a loop in a loop",
    "render_pdf: every way inward, in a page",
    "transform_image: an AVIF of 2.2 KB with 268 megapixels",
    "transform_image: PostScript",
    "transform_image: a name that splits headers",
    "describe_image: the same, to be described",
    "preview_pdf: a form that draws itself, preview_pdf",
    "edit_pdf: scripts everywhere, edit_pdf",
    "hash_file: a link out of the root",
    "describe_pdf: the metadata of a cloud, named",
    "hash_tree: stars without end",
    "verify_manifest: a manifest that climbs",
)
_LIMITS: Final = "render_pdf.seconds=5,render_pdf.memory_mb=700,preview_pdf.memory_mb=700"
_RESULT: Final = 25.0


async def _sent(caller: Caller, case: Case) -> tuple[str, str]:
    """How a call ended, and all that its caller read."""
    answer = await caller.call_with(case.kind, {**case.arguments, "wait_seconds": 50})
    told = answer.text
    if answer.result.structured_content is None:
        return "bad_input", told
    for file in answer.data["artifacts"]:
        told += (await caller.download(file)).decode("latin-1")
    error = answer.data["error"]
    return error["code"] if error else answer.state, f"{told}{answer.data['output']}{answer.data['warnings']}"


async def _works(caller: Caller, done: asyncio.Event) -> int:
    """Call what anybody may call until the others are done; answers how often all went well."""
    rounds = 0
    while not done.is_set():
        for kind in ("hash_file", "transform_image", "render_pdf"):
            one = honest.known(kind)
            async with asyncio.timeout(_RESULT):
                answer = await caller.call_with(one.kind, {**one.arguments, "wait_seconds": 20})
            files = [await caller.download(file) for file in answer.data["artifacts"]]
            assert one.right(answer.output, b"".join(files))
        rounds += 1
    return rounds


async def test_hostile_calls_are_answered_and_nobody_else_is_disturbed(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(limits=_LIMITS)
    folder = stack.root / "data"
    folder.mkdir()
    hashing.prepare(folder)
    options = {"file_roots": f"data={folder}"}
    stack.front_end(**options)
    worker = stack.worker(**options)
    cases = [case for case in CASES if f"{case.kind}: {case.name}" in SAMPLE]
    assert len(cases) == len(SAMPLE)
    done = asyncio.Event()
    async with stack.client() as mallory, stack.client() as alice:
        working = asyncio.create_task(_works(alice, done))
        try:
            endings = await asyncio.gather(*(_sent(mallory, case) for case in cases))
        finally:
            done.set()
        assert await working >= 1
        for case, (outcome, told) in zip(cases, endings, strict=True):
            allowed = case.outcome | ({"bad_input"} if case.outcome & {"refused", "unreadable_file"} else set())
            assert outcome in allowed, f"{case.name}: {told[:500]}"
            assert not [text for text in (*case.forbidden, *NEVER, str(stack.folder)) if text in told], case.name
        answer = await alice.call("hash_file", file="data:,hello", wait_seconds=10)
        assert answer.output["digests"]["sha256"] == hashlib.sha256(b"hello").hexdigest()
        assert {job["kind"] for job in (await alice.call("list_jobs", limit=100)).data["jobs"]} <= {
            *("hash_file", "transform_image", "render_pdf")
        }
    assert worker.running
