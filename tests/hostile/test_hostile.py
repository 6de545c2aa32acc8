"""Every hostile case of every family, as a worker meets it: answered in time and in words, and nobody is harmed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from hostile.arena import GRACE_SECONDS, LIBRARIES_MB, NEVER, Arena, private_places
from hostile.attacks import ATTACKS
from hostile.cases import Case
from hostile.honest import is_done_right
from hostile.summary import MEASURED
from hostile.table import CASES
from offloop.kinds import catalogue

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}: {case.name}")
async def test_a_hostile_case_is_answered_and_harms_nobody(
    arena: Arena, case: Case, record_property: Callable[[str, object], None]
) -> None:
    """Within its limits, with nothing that is not its own; and the same children do honest work right afterwards."""
    limits = arena.kinds[case.kind].limits
    ending = await arena.face(case)
    record_property(MEASURED, (ending.seconds, ending.mapped_mb, ending.resident_mb, ending.outcome))
    assert ending.outcome in case.outcome, ending.told[:500]
    for text in (*case.forbidden, *NEVER, *private_places()):
        assert text not in ending.told
    assert all(name.isprintable() and "/" not in name for name in ending.names)
    assert ending.seconds < limits.seconds + GRACE_SECONDS
    assert ending.mapped_mb <= limits.memory_mb
    assert ending.resident_mb <= limits.memory_mb + LIBRARIES_MB
    assert await is_done_right(arena, case.kind)
    await arena.is_clean()


def test_no_two_cases_have_one_name() -> None:
    names = [(case.kind, case.name) for case in CASES]
    assert len(names) == len(set(names)) >= 120


def test_every_kind_meets_hostile_cases() -> None:
    met = Counter(case.kind for case in CASES)
    assert {kind: met[kind] for kind in catalogue.load() if met[kind] < 2} == {}


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_is_tried(attack: str) -> None:
    """By cases that are in the tables, and by tests that exist."""
    names = [f"{case.kind}: {case.name}" for case in CASES]
    for trial in ATTACKS[attack]:
        file, _, test = trial.partition("::")
        if test:
            assert f"def {test}(" in (ROOT / file).read_text("utf-8"), trial
        else:
            pattern = ".*".join(map(re.escape, trial.split("*")))
            assert any(re.fullmatch(pattern, name) for name in names), trial
