"""Data stack: loops that recurse cause no page faults above a frame with room."""

from __future__ import annotations

import resource
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from offloop.processes import data_stack

ROUNDS: Final = 1000
DEPTHS: Final = (1, 50, 200, 400, 800)


def _descend(depth: int) -> None:
    if depth:
        _descend(depth - 1)


def _faults() -> int:
    """Page faults of loops that recurse to each depth, after one descent that touches the stack."""
    _descend(max(DEPTHS))
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for depth in DEPTHS:
        for _ in range(ROUNDS):
            _descend(depth)
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before


def _in_new_thread(*, room: bool) -> int:
    """Measure where no frame with room is below, whatever the test runner has done."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(lambda: data_stack.with_room(_faults) if room else _faults()).result()


@pytest.mark.skipif(sys.platform != "linux", reason="faults of one thread are counted by Linux only")
def test_deep_loops_map_no_memory_above_a_frame_with_room() -> None:
    with_room, without = _in_new_thread(room=True), _in_new_thread(room=False)
    assert without > ROUNDS, "this Python keeps its data stack: is the module still needed?"
    assert with_room < ROUNDS / 10


def test_the_result_and_the_exception_of_the_call_pass() -> None:
    def fail() -> None:
        raise LookupError

    assert data_stack.with_room(lambda: 3) == 3
    with pytest.raises(LookupError):
        data_stack.with_room(fail)


def test_endless_recursion_still_ends_in_a_recursion_error() -> None:
    def recurse() -> None:
        recurse()

    with pytest.raises(RecursionError):
        data_stack.with_room(recurse)
