"""Short fault-injection run for every change; `python tests/faults` starts longer ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from faults.driver import run

pytestmark = [pytest.mark.anyio, pytest.mark.faults, pytest.mark.timeout(240)]


async def test_no_guarantee_is_violated_under_random_faults(
    record_property: Callable[[str, object], None],
) -> None:
    """About 1,200 jobs, with a fault every two seconds."""
    report = await run(jobs=1200, seconds=50, seed=7)
    record_property("summary", report.summary)
    print(report.summary)  # noqa: T201 -- pytest shows it on a failure
    assert not report.violations, f"{report.summary}\n{report.evidence}"
