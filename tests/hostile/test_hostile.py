"""Every hostile case of every family ends in time, with an allowed outcome, and without side effects."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hostile.attacks import ATTACKS
from hostile.cases import Case
from hostile.harness import GRACE_SECONDS, LIBRARIES_MB, NEVER, Harness, private_paths
from hostile.known_jobs import still_works
from hostile.summary import MEASURED
from hostile.table import BRIEF, CASES, LONG
from offloop.kinds import catalogue

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]


Measure = Callable[[str, object], None]


async def check(harness: Harness, case: Case, lower: Mapping[str, float], measure: Measure) -> None:
    """Run a case within lowered limits: it leaks nothing, and the same children run a known job right afterwards."""
    limits = harness.kinds[case.kind].limits.tightened(lower, kind=case.kind)
    ending = await harness.run(case, limits)
    measure(MEASURED, (ending.seconds, ending.mapped_mb, ending.resident_mb, ending.outcome))
    assert ending.outcome in case.outcome, ending.answer[:500]
    for text in (*case.forbidden, *NEVER, *private_paths()):
        assert text not in ending.answer
    assert all(name.isprintable() and "/" not in name for name in ending.names)
    assert ending.seconds < limits.seconds + GRACE_SECONDS
    assert ending.mapped_mb <= limits.memory_mb
    assert ending.resident_mb <= limits.memory_mb + LIBRARIES_MB
    assert await still_works(harness, case.kind)
    await harness.assert_clean()


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_hostile_case_ends_within_its_limits_and_without_side_effects(
    harness: Harness, case: Case, record_property: Measure
) -> None:
    await check(harness, case, BRIEF.get(str(case), {}), record_property)


@pytest.mark.soak
@pytest.mark.parametrize("case", [case for case in CASES if str(case) in BRIEF], ids=str)
async def test_a_case_that_uses_up_low_limits_ends_within_higher_ones(
    harness: Harness, case: Case, record_property: Measure
) -> None:
    await check(harness, case, LONG, record_property)


def test_names_of_cases_are_unique() -> None:
    names = [(case.kind, case.name) for case in CASES]
    assert len(names) == len(set(names)) >= 120
    assert set(BRIEF) <= {str(case) for case in CASES}


def test_every_kind_has_hostile_cases() -> None:
    met = Counter(case.kind for case in CASES)
    few = {kind: met[kind] for kind in catalogue.load() if met[kind] < 2}
    assert few == {}, "each kind needs two cases in the module of its family, tests/hostile/<family>.py"


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_has_existing_cases_or_tests(attack: str) -> None:
    names = [str(case) for case in CASES]
    for trial in ATTACKS[attack]:
        file, _, test = trial.partition("::")
        if test:
            assert f"def {test}(" in (ROOT / file).read_text("utf-8"), trial
        else:
            pattern = ".*".join(map(re.escape, trial.split("*")))
            assert any(re.fullmatch(pattern, name) for name in names), trial
