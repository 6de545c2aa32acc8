"""Hostile calls through a complete stack, next to a well-behaved principal."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Final

import pytest

from hostile import hashing, known_jobs
from hostile.cases import Case
from hostile.harness import NEVER
from hostile.table import CASES
from support.stack.client import Caller
from support.stack.stack import Stack

pytestmark = pytest.mark.anyio

SAMPLE: Final = (
    "render_pdf: grids in grids",
    "render_pdf: variables that double forty times",
    "render_pdf: a template that evaluates \"{{ cycler.__init__.__globals__.os.popen('id').read\"",
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
    "search_text: repetitions in repetitions before a backreference",
    "search_text: every line, with context",
)
_LIMITS: Final = "render_pdf.seconds=3,render_pdf.memory_mb=700,preview_pdf.memory_mb=256,search_text.seconds=25"
"""A search of a second took more than ten beside the others on a busy machine: children have the lowest priority."""
_RESULT: Final = 45.0


async def _sent(caller: Caller, case: Case) -> tuple[str, str]:
    """Outcome of a call, and everything that its caller can read."""
    answer = await caller.call_with(case.kind, {**case.arguments, "wait_seconds": 50})
    text = answer.text
    if answer.result.structured_content is None:
        return "bad_input", text
    for file in answer.data["artifacts"]:
        text += (await caller.download(file)).decode("latin-1")
    error = answer.data["error"]
    return error["code"] if error else answer.state, f"{text}{answer.data['output']}{answer.data['warnings']}"


async def _works(caller: Caller, done: asyncio.Event) -> int:
    """Run the known jobs until `done` is set; returns the number of iterations."""
    iterations = 0
    while not done.is_set():
        for kind in ("hash_file", "transform_image", "render_pdf"):
            one = known_jobs.known(kind)
            async with asyncio.timeout(_RESULT):
                answer = await caller.call_with(one.kind, {**one.arguments, "wait_seconds": 40})
            files = [await caller.download(file) for file in answer.data["artifacts"]]
            assert one.right(answer.output, b"".join(files))
        iterations += 1
    return iterations


async def test_hostile_calls_are_answered_and_do_not_disturb_other_principals(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(limits=_LIMITS)
    folder = stack.root / "data"
    folder.mkdir()
    hashing.prepare(folder)
    options = {"file_roots": f"data={folder}"}
    front_end, worker = stack.begin_front_end(**options), stack.begin_worker(**options)
    stack.await_front_end(front_end)
    stack.await_worker(worker)
    cases = [case for case in CASES if str(case) in SAMPLE]
    assert len(cases) == len(SAMPLE)
    done = asyncio.Event()
    async with stack.client() as mallory, stack.client() as alice:
        working = asyncio.create_task(_works(alice, done))
        try:
            endings = await asyncio.gather(*(_sent(mallory, case) for case in cases))
        finally:
            done.set()
        assert await working >= 1
        for case, (outcome, text) in zip(cases, endings, strict=True):
            allowed = case.outcome | ({"bad_input"} if case.outcome & {"refused", "unreadable_file"} else set())
            assert outcome in allowed, f"{case.name}: {text[:500]}"
            assert not [found for found in (*case.forbidden, *NEVER, str(stack.folder)) if found in text], case.name
        answer = await alice.call("hash_file", file="data:,hello", wait_seconds=10)
        assert answer.output["digests"]["sha256"] == hashlib.sha256(b"hello").hexdigest()
        assert {job["kind"] for job in (await alice.call("list_jobs", limit=100)).data["jobs"]} <= {
            *("hash_file", "transform_image", "render_pdf")
        }
    assert worker.running
