"""Hostile input in this process, without the limits of a child on time and memory."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import ValidationError

from hostile.cases import Case
from hostile.hashing import CASES, prepare
from offloop import testing
from offloop.errors import JobError
from offloop.jobs import hashing
from offloop_workers.hashing import duplicates, single, tree, verify

WORKS: Final[dict[str, tuple[type[Any], Callable[..., Any]]]] = {
    "hash_file": (hashing.FileToHash, single.hash_bytes),
    "hash_tree": (hashing.TreeToHash, tree.hash_files),
    "verify_manifest": (hashing.ToVerify, verify.verify),
    "find_duplicates": (hashing.DuplicatesToFind, duplicates.find),
}
MAX_SECONDS: Final = 20


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder behind the root ``data``."""
    folder = tmp_path_factory.mktemp("hostile") / "data"
    folder.mkdir()
    prepare(folder)
    return folder


def _marked(case: Case) -> Any:
    return pytest.param(case, id=case.name, marks=[pytest.mark.slow] if "a million lines" in case.name else [])


@pytest.mark.parametrize("case", [_marked(case) for case in CASES])
def test_a_hostile_case_is_answered_and_gives_nothing_away(case: Case, data: Path, tmp_path: Path) -> None:
    context = testing.context(tmp_path, roots={"data": data})
    model, work = WORKS[case.kind]
    began = time.process_time()
    try:
        answer = work(model.model_validate(case.arguments), context).model_dump(mode="json")
        outcome = "completed"
    except ValidationError as error:
        answer, outcome = [one["msg"] for one in error.errors(include_url=False)], "bad_input"
    except JobError as error:
        answer, outcome = error.to_wire(), error.reason
    assert outcome in case.outcome, answer
    assert time.process_time() - began < MAX_SECONDS
    text_of_answer = json.dumps([answer, context.warnings], ensure_ascii=False)
    for text in (*case.forbidden, str(data)):
        assert text not in text_of_answer
    for artifact in context.artifacts:
        assert not any(text.encode() in artifact.path.read_bytes() for text in (*case.forbidden, str(data)))
    text_of_answer.encode()  # it can be sent
