"""Catalogue: the kinds that a process loads, and the messages when a module does not fit."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from offloop import Model, declare
from offloop.errors import SettingsError
from offloop.kinds import catalogue
from offloop.kinds.catalogue import Catalogue

_JOB = '''
from offloop import Model, job

class Nothing(Model):
    """Empty."""

@job(queue="mine")
def do_nothing(value: Nothing) -> Nothing:
    """Do nothing."""
    return value
'''


class _Empty(Model):
    """No fields."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path; what is imported from it is forgotten."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_the_shipped_kinds_are_there_sorted() -> None:
    found = catalogue.load()
    assert list(found) == sorted(found)
    assert {"hash_file", "render_pdf", "transform_image"} <= set(found)
    assert {"hash", "image", "pdf"} <= set(found.queues)
    assert len(found) == len(list(found))
    assert found["hash_file"].name == "hash_file"


def test_a_dropped_in_file_is_the_whole_change(folder: Path) -> None:
    (folder / "own_jobs_of_a_test.py").write_text(_JOB)
    found = catalogue.load(["own_jobs_of_a_test"])
    assert found["do_nothing"].work is not None
    assert "mine" in found.queues


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "ModuleNotFoundError.*PYTHONPATH"),
        ("1 / 0", "ZeroDivisionError"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "holds no job; mark a function with @offloop.job"),
    ],
)
def test_a_module_that_does_not_fit_is_named_with_its_variable(folder: Path, text: str | None, message: str) -> None:
    if text is not None:
        (folder / "odd_jobs_of_a_test.py").write_text(text)
    with pytest.raises(SettingsError, match=f"OFFLOOP_JOB_MODULES: .*'odd_jobs_of_a_test'.*{message}"):
        catalogue.load(["odd_jobs_of_a_test"])


def test_two_kinds_of_one_name_are_refused_and_one_kind_twice_is_not() -> None:
    first, second = (declare("same_name", _Empty, _Empty, description="d") for _ in range(2))
    assert list(Catalogue([first, first])) == ["same_name"]
    with pytest.raises(SettingsError, match="two jobs are named 'same_name'"):
        Catalogue([first, second])
