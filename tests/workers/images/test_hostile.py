"""Hostile pictures, each in a real child: answered in words, within the limits, and nobody else is harmed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from hostile.cases import Case
from hostile.images import CASES
from offloop import catalogue
from offloop.errors import OffloopError
from offloop_workers.children import Children, Task
from parts.valkey import lasting

pytestmark = pytest.mark.anyio

KINDS = catalogue.load()


@pytest.fixture(scope="session")
async def image_children(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Children]:
    """Two children for pictures, shared by the tests of this process."""
    folder = tmp_path_factory.mktemp("image-children")
    pool = Children(2, ("image",), folder / "temporary")
    with lasting(folder):
        await pool.__aenter__()
    try:
        yield pool
    finally:
        await pool.__aexit__()


async def answered(children: Children, case: Case, folder: Path) -> tuple[str, str]:
    """How it ended, and all that its caller would read."""
    kind = KINDS[case.kind]
    try:
        value = kind.input.model_validate(case.arguments)
    except ValidationError as error:
        return "bad_input", json.dumps([fault["msg"] for fault in error.errors(include_url=False)])
    task = Task(kind, "a-job", 1, value.model_dump(mode="json"), str(folder / "job"), {})
    try:
        async with asyncio.timeout(50):
            done = await children.run(task, lambda _progress: None)
    except OffloopError as error:
        return error.reason, error.message
    shown = [{**artifact, "path": ""} for artifact in done["artifacts"]]
    for artifact in shown:
        assert "/" not in artifact["name"]
        assert artifact["name"].isprintable()
    return "completed", json.dumps([done["output"], done["warnings"], shown], ensure_ascii=False)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_a_hostile_picture_is_answered(image_children: Children, case: Case, tmp_path: Path) -> None:
    outcome, answer = await answered(image_children, case, tmp_path)
    assert outcome in case.outcome, answer[:500]
    assert not [text for text in case.forbidden if text in answer]
    assert str(tmp_path) not in answer


def test_no_two_cases_have_one_name() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)) >= 35
