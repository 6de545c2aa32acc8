"""Fault-injection runs: a short one for every change, a longer soak test; `python tests/faults` starts any other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from faults.driver import run

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("jobs", "seconds"), [(200, 8), pytest.param(1200, 50, marks=pytest.mark.soak)], ids=["short", "long"]
)
async def test_no_guarantee_is_violated_under_random_faults(
    record_property: Callable[[str, object], None], jobs: int, seconds: float
) -> None:
    """24 jobs a second, with a fault every two seconds."""
    report = await run(jobs=jobs, seconds=seconds, seed=7)
    record_property("summary", report.summary)
    print(report.summary)  # noqa: T201 -- pytest shows it on a failure
    assert not report.violations, f"{report.summary}\n{report.evidence}"
