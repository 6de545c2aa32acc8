"""Every hostile document, in a child with its limits on: answered in time, and with nothing that is not its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hostile.cases import Case
from hostile.pdf import CASES
from offloop.errors import JobError
from offloop.jobs.pdf import Page, render_pdf
from offloop_workers.children import Children, Task
from parts.rendered import Document
from parts.valkey import lasting

pytestmark = pytest.mark.anyio

SECONDS = 6
KIND = replace(
    render_pdf, limits=render_pdf.limits.tightened({"seconds": SECONDS, "memory_mb": 700}, kind="render_pdf")
)


@pytest.fixture(scope="module")
async def children(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Children]:
    """One child at a time that can render, shared by the cases of this process."""
    folder = tmp_path_factory.mktemp("children")
    pool = Children(1, ("pdf",), folder / "temporary")
    with lasting(folder):
        await pool.__aenter__()
    try:
        yield pool
    finally:
        await pool.__aexit__()


async def answer(children: Children, case: Case, folder: Path) -> tuple[str, str]:
    """How a case ended, and all that its caller would see."""
    try:
        value = Page.model_validate(case.arguments).model_dump(mode="json", exclude_unset=True)
    except ValidationError as error:
        return "bad_input", str([fault["msg"] for fault in error.errors(include_input=False)])
    task = Task(KIND, "a-job", 1, value, str(folder / "job"), {})
    try:
        async with asyncio.timeout(SECONDS + 20):
            done: dict[str, Any] = await children.run(task, lambda _progress: None)
    except JobError as error:
        return error.reason, error.message
    (artifact,) = done["artifacts"]
    return "completed", "\n".join([repr(done["output"]), *done["warnings"], contents(Path(artifact["path"]))])


def contents(path: Path) -> str:
    """The text of a file's first pages, and all its bytes with compressed parts opened."""
    document = Document(path.read_bytes())
    text = "\n".join(page.get_textpage().get_text_range() for page in list(document.pdf)[:20])
    return f"{text}\n{document.unpacked[:20_000_000].decode('latin-1')}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_hostile_document_is_answered_within_its_limits(children: Children, case: Case, tmp_path: Path) -> None:
    outcome, seen = await answer(children, case, tmp_path)
    assert outcome in case.outcome, seen[:500]
    for text in (*case.forbidden, str(tmp_path), "Traceback"):
        assert text not in seen
