"""Many files at once: processes that each take the next batch, as many as there are cores.

Threads would share the interpreter's lock, which opening a file needs more often than hashing a small one gives it
up: two of them read ten thousand small files 1.5 times as fast as one, two processes 1.9 times. The processes are
forked when a job has enough to read, know the list already, and die with the job's own.
"""

from __future__ import annotations

import os
import signal
import struct
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, Final, NamedTuple

from offloop.errors import Crashed, JobError
from offloop.jobs.hashing import MAX_GIB
from offloop.redis.codec import pack, unpack
from offloop_workers.hashing.digest import digest
from offloop_workers.hashing.pace import Pace
from offloop_workers.hashing.read import BLOCK, ChangedError, TooLargeError, read
from offloop_workers.hashing.sources import Openable
from offloop_workers.hashing.walk import reason
from offloop_workers.sandbox import kernel

MAX_READERS: Final = 16
_FILE_COST: Final = 64 * 1024  # bytes that are hashed in the time that opening one more file takes
_ALONE_COST: Final = 16 << 20  # less than this is read before other processes would have begun
_BATCHES: Final = 160  # ten for each of the most readers; more only cost the process that gathers the results
_TELL: Final = 16 << 20  # bytes between two messages
_NUMBER: Final = struct.Struct("<I")


class Wish(NamedTuple):
    """One file to read.

    Attributes:
        path: as its source lists it.
        size: bytes, when it was listed.
        algorithms: the digests to compute.
    """

    path: str
    size: int
    algorithms: tuple[str, ...]


Result = list[bytes] | str
"""The digests in the order of the wish, or why there are none."""


def results(source: Openable, wishes: Sequence[Wish], pace: Pace, readers: int | None = None) -> list[Result]:
    """Read all the files, in as many processes as pay.

    Args:
        source: opens them.
        wishes: best in the order in which they lie in their folders.
        pace: is told of all bytes read.
        readers: how many processes; without it, one for each core this process may use.

    Returns:
        One result for each wish, in their order.

    Raises:
        Crashed: a reader died.
    """
    cost = sum(wish.size + _FILE_COST for wish in wishes)
    readers = min(readers or cores(), MAX_READERS)
    batches = _batches(wishes, cost)
    if readers > 1 and cost > _ALONE_COST and len(batches) > 1:
        found = _shared(source, wishes, batches, pace, readers)
        if found is not None:
            return found
    reader = _Reader(source, wishes, pace.add)
    return reader.batch(0, len(wishes))


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Reader:
    """Reads batches, with one buffer for all."""

    def __init__(self, source: Openable, wishes: Sequence[Wish], tell: Any) -> None:
        self._source = source
        self._wishes = wishes
        self._tell = tell
        self._buffer = memoryview(bytearray(BLOCK))

    def batch(self, start: int, stop: int) -> list[Result]:
        return [self._one(self._wishes[number]) for number in range(start, stop)]

    def _one(self, wish: Wish) -> Result:
        digests = [digest(algorithm) for algorithm in wish.algorithms]
        try:
            with self._source.open(wish.path) as file:
                read(file, digests, self._buffer, self._tell)
        except ChangedError:
            return "changed while it was read"
        except TooLargeError:
            return f"has more than {MAX_GIB} GiB"
        except JobError as error:
            return error.message
        except OSError as error:
            return reason(error)
        return [one.digest() for one in digests]


def _batches(wishes: Sequence[Wish], cost: int) -> list[tuple[int, int]]:
    """Neighbours together, at most so many batches, the dearest first so that no long one begins last."""
    least = max(cost // _BATCHES, _ALONE_COST // 8)
    batches: list[tuple[int, int, int]] = []
    start = so_far = 0
    for number, wish in enumerate(wishes, 1):
        so_far += wish.size + _FILE_COST
        if so_far >= least or number == len(wishes):
            batches.append((so_far, start, number))
            start, so_far = number, 0
    return [(start, stop) for _, start, stop in sorted(batches, key=lambda batch: -batch[0])]


def _shared(
    source: Openable, wishes: Sequence[Wish], batches: list[tuple[int, int]], pace: Pace, readers: int
) -> list[Result] | None:
    """The results, or nothing where no process can be forked."""
    found: list[Result | None] = [None] * len(wishes)
    with _queue(len(batches)) as queue, _forked(source, wishes, batches, queue, readers) as pipes:
        if not pipes:
            return None
        while pipes:
            for pipe in wait(pipes):
                if not _take(pipe, found, batches, pace):  # type: ignore[arg-type]  # only connections were given
                    pipes.remove(pipe)  # type: ignore[arg-type]  # the same
    complete = [result for result in found if result is not None]
    if len(complete) < len(wishes):
        message = "A process that read files died, perhaps because memory ran out: try again, or send fewer files."
        raise Crashed(message)
    return complete


def _take(pipe: Connection, found: list[Result | None], batches: list[tuple[int, int]], pace: Pace) -> bool:
    try:
        message: dict[str, Any] = unpack(pipe.recv_bytes())
    except (EOFError, ConnectionError):
        return False
    if "failed" in message:
        raise RuntimeError(message["failed"])
    pace.add(message["bytes"])
    if "batch" in message:
        start, stop = batches[message["batch"]]
        found[start:stop] = message["results"]
    return True


@contextmanager
def _queue(batches: int) -> Iterator[int]:
    """A pipe that holds the number of every batch: whoever reads one has it. All of them fit into one page."""
    taking, giving = os.pipe()
    try:
        os.write(giving, b"".join(_NUMBER.pack(number) for number in range(batches)))
        os.close(giving)
        yield taking
    finally:
        os.close(taking)


@contextmanager
def _forked(
    source: Openable, wishes: Sequence[Wish], batches: list[tuple[int, int]], queue: int, readers: int
) -> Iterator[list[Connection]]:
    pids: list[int] = []
    pipes: list[Connection] = []
    try:
        for _ in range(min(readers, len(batches))):
            receiving, sending = Pipe(duplex=False)
            pipes.append(receiving)
            with sending:
                parent = os.getpid()
                try:
                    pid = _fork()
                except OSError:  # a sandbox or a limit on processes: those there are do it, or this one
                    pipes.pop().close()
                    break
                if pid == 0:
                    _read_and_exit(_Shift(source, wishes, batches, queue, sending), parent)
                pids.append(pid)
        yield list(pipes)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)  # those that are done are waiting to be asked how they ended
            os.waitpid(pid, 0)
        for pipe in pipes:
            pipe.close()


def _fork() -> int:
    with warnings.catch_warnings():
        # Newer Pythons warn of threads. A job's process has none, and a reader needs no lock that one could hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


class _Shift(NamedTuple):
    """What one reader needs."""

    source: Openable
    wishes: Sequence[Wish]
    batches: list[tuple[int, int]]
    queue: int
    pipe: Connection


def _read_and_exit(shift: _Shift, parent: int) -> None:
    try:
        kernel.die_with_parent(parent)
        _close_others({shift.queue, shift.pipe.fileno(), *shift.source.descriptors()})
        _read_batches(shift)
    except BaseException as error:  # noqa: BLE001 -- nothing may return into the code of the process this is a copy of
        text = "".join(traceback.format_exception(error))[-8000:]
        shift.pipe.send_bytes(pack({"failed": text}))
    finally:
        os._exit(0)


def _read_batches(shift: _Shift) -> None:
    untold = 0

    def tell(count: int) -> None:
        nonlocal untold
        untold += count
        if untold >= _TELL:
            shift.pipe.send_bytes(pack({"bytes": untold}))
            untold = 0

    reader = _Reader(shift.source, shift.wishes, tell)
    while number := os.read(shift.queue, _NUMBER.size):
        (batch,) = _NUMBER.unpack(number)
        found = reader.batch(*shift.batches[batch])
        shift.pipe.send_bytes(pack({"bytes": untold, "batch": batch, "results": found}))
        untold = 0


def _close_others(kept: set[int]) -> None:
    """Keep only what is needed: the worker must see the end of the job's own process, not of this one."""
    for descriptor in map(int, os.listdir("/dev/fd")):  # noqa: PTH208 -- numbers, not paths
        if descriptor > 2 and descriptor not in kept:  # noqa: PLR2004 -- what a process has from its start
            with suppress(OSError):  # the listing's own
                os.close(descriptor)
