"""Data stack of CPython: room for a thread's frames, mapped once.

CPython 3.11 and later keeps the frames of Python functions on a stack of 16 KiB chunks. A call whose frame does not fit
maps a chunk, and its return unmaps it (``push_chunk`` and ``_PyThreadState_PopFrame`` in Python/pystate.c). So a loop
that calls across the end of a chunk maps, faults and unmaps memory at every call, depending on how deep the stack below
it happens to be. 3.13.13 and 3.14.4 keep one unmapped chunk, which helps until a loop crosses two ends
(https://github.com/python/cpython/issues/142183).

A chunk is as large as its first frame needs, rounded up to a power of two. A frame that asks for a little more than
half of a chunk leaves almost half of it to the calls above it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

ResultT = TypeVar("ResultT")

SLOTS: Final = 65_000
"""Values that the frame claims, of 8 bytes each: its chunk has 1 MiB, 520 kB of them free.

A thousand frames, the recursion limit, fit if they take up to 500 bytes; most take 100 to 250. Claimed memory that is
never touched costs nothing but address space.
"""


def with_room(call: Callable[[], ResultT]) -> ResultT:
    """Call `call` with room for the frames of this thread; other threads have a data stack of their own."""

    def frame() -> ResultT:
        return call()

    frame.__code__ = frame.__code__.replace(co_stacksize=SLOTS)
    return frame()
