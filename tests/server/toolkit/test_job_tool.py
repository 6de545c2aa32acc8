"""Tools of jobs: their arguments beside the kind's own."""

from __future__ import annotations

from offloop.kinds.options import BUDGET
from offloop_server.toolkit.job_tool import Budget


def test_the_names_that_no_kind_may_take_are_those_of_the_wait_budget() -> None:
    assert set(Budget.model_fields) == BUDGET
