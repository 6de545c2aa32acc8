"""Errors: the documented hierarchy matches the classes, and the wire form is stable."""

from __future__ import annotations

import re

import pytest

from offloop import errors
from offloop.errors import Busy, JobError, LimitExceeded, NotFound, OffloopError


def _drawn() -> dict[str, tuple[str, str]]:
    """Class → (parent, code), from the docstring of the module."""
    found: dict[str, tuple[str, str]] = {}
    path: list[str] = ["OffloopError"]
    for line in (errors.__doc__ or "").splitlines():
        if drawn := re.match(r"    (?P<bars>(?:│   |    )*)[├└]── (?P<name>\w+) +(?P<code>\w+)", line):
            depth = len(drawn["bars"]) // 4
            del path[depth + 1 :]
            found[drawn["name"]] = (path[-1], drawn["code"])
            path.append(drawn["name"])
    return found


def _real(parent: type[OffloopError] = OffloopError) -> dict[str, tuple[str, str]]:
    """Class → (parent, code), from the classes."""
    found: dict[str, tuple[str, str]] = {}
    for child in parent.__subclasses__():
        if child.__module__ == errors.__name__:
            found |= {child.__name__: (parent.__name__, child.code)} | _real(child)
    return found


def test_the_drawn_tree_is_the_tree_of_classes() -> None:
    assert _drawn() == _real()


def test_every_code_is_its_own() -> None:
    codes = [code for _, code in _real().values()]
    assert len(set(codes)) == len(codes)


def test_a_failure_travels_as_code_message_and_whether_to_retry() -> None:
    assert LimitExceeded("too long").to_wire() == {"code": "limit_exceeded", "message": "too long", "retryable": False}
    assert JobError("gone", code="no_space", retryable=True).to_wire() == {
        "code": "no_space",
        "message": "gone",
        "retryable": True,
    }
    assert Busy("full", retry_after=3).to_wire()["retryable"] is True
    assert Busy("full", retry_after=3).retry_after == 3


def test_an_authors_own_code_changes_only_that_one_failure() -> None:
    JobError("mine", code="mine", retryable=True)
    assert (JobError.code, JobError("plain").reason, JobError("plain").retryable) == ("job_failed", "job_failed", False)


@pytest.mark.parametrize("sentence", [NotFound.job, NotFound.artifact])
def test_a_long_id_is_cut_in_the_sentence_that_names_it(sentence: object) -> None:
    assert callable(sentence)
    assert len(str(sentence("x" * 5000))) < 300
