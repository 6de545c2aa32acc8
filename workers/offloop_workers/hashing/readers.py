"""Reader processes: a pool of forks, one per core, that hash files in batches.

Threads would contend for the interpreter's lock, which opening a file takes more often than hashing a small one
releases it: two threads read ten thousand small files 1.5 times as fast as one, two processes 1.9 times. The readers
are forked when a job has enough to read, inherit the list of files, and die with the job's own process.
"""

from __future__ import annotations

import os
import signal
import struct
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, Final, NamedTuple

from offloop.errors import Crashed, JobError
from offloop.jobs.hashing import MAX_GIB
from offloop.redis.codec import pack, unpack
from offloop_workers.files.progress import ByteProgress
from offloop_workers.files.sources import Openable
from offloop_workers.files.walk import reason
from offloop_workers.hashing.digest import digest
from offloop_workers.hashing.read import BLOCK, ChangedError, TooLargeError, read
from offloop_workers.sandbox import kernel

MAX_READERS: Final = 16
_FILE_COST: Final = 64 * 1024  # bytes that are hashed in the time of opening one file
_ALONE_COST: Final = 16 << 20  # below this, one process is done before the readers have started
_BATCHES: Final = 160  # ten a reader; more would only cost the process that collects the results
_REPORT_EVERY: Final = 16 << 20  # bytes between two progress messages
_NUMBER: Final = struct.Struct("<I")


class ReadTask(NamedTuple):
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
"""The digests in the order of the task, or the reason for none."""


def results(
    source: Openable, tasks: Sequence[ReadTask], progress: ByteProgress, readers: int | None = None
) -> list[Result]:
    """Hash all the files, in several processes where there is enough to read.

    Args:
        source: opens the files.
        tasks: fastest when grouped by folder.
        progress: counts the bytes read.
        readers: number of processes; by default one for each core this process may use.

    Returns:
        One result for each task, in their order.

    Raises:
        Crashed: a reader died.
    """
    cost = sum(task.size + _FILE_COST for task in tasks)
    readers = min(readers or cores(), MAX_READERS)
    batches = _batches(tasks, cost)
    if readers > 1 and cost > _ALONE_COST and len(batches) > 1:
        found = _shared(source, tasks, batches, progress, readers)
        if found is not None:
            return found
    reader = _Reader(source, tasks, progress.add)
    return reader.batch(0, len(tasks))


def cores() -> int:
    """Number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Reader:
    """Hashes batches of files through one buffer."""

    def __init__(self, source: Openable, tasks: Sequence[ReadTask], report: Callable[[int], object]) -> None:
        self._source = source
        self._tasks = tasks
        self._report = report
        self._buffer = memoryview(bytearray(BLOCK))

    def batch(self, start: int, stop: int) -> list[Result]:
        return [self._one(self._tasks[number]) for number in range(start, stop)]

    def _one(self, task: ReadTask) -> Result:
        digests = [digest(algorithm) for algorithm in task.algorithms]
        try:
            with self._source.open(task.path) as file:
                size = read(file, digests, self._buffer, self._report)
        except ChangedError:
            return "changed while it was read"
        except TooLargeError:
            return f"has more than {MAX_GIB} GiB"
        except JobError as error:
            return error.message
        except OSError as error:
            return reason(error)
        return [one.digest() for one in digests] if size == task.size else "changed after it was listed"


def _batches(tasks: Sequence[ReadTask], cost: int) -> list[tuple[int, int]]:
    """Runs of adjacent tasks, at most `_BATCHES`, the most expensive first so that no long one starts last."""
    least = max(cost // _BATCHES, _ALONE_COST // 8)
    batches: list[tuple[int, int, int]] = []
    start = so_far = 0
    for number, task in enumerate(tasks, 1):
        so_far += task.size + _FILE_COST
        if so_far >= least or number == len(tasks):
            batches.append((so_far, start, number))
            start, so_far = number, 0
    return [(start, stop) for _, start, stop in sorted(batches, key=lambda batch: -batch[0])]


def _shared(
    source: Openable, tasks: Sequence[ReadTask], batches: list[tuple[int, int]], progress: ByteProgress, readers: int
) -> list[Result] | None:
    """The results of forked readers; None where no process can be forked."""
    found: list[Result | None] = [None] * len(tasks)
    with _queue(len(batches)) as queue, _forked(source, tasks, batches, queue, readers) as pipes:
        if not pipes:
            return None
        while pipes:
            for pipe in wait(pipes):
                if not _receive(pipe, found, batches, progress):  # type: ignore[arg-type]  # only connections were given
                    pipes.remove(pipe)  # type: ignore[arg-type]  # the same
    complete = [result for result in found if result is not None]
    if len(complete) < len(tasks):
        message = "A process that read files died, perhaps because memory ran out: try again, or send fewer files."
        raise Crashed(message)
    return complete


def _receive(
    pipe: Connection, found: list[Result | None], batches: list[tuple[int, int]], progress: ByteProgress
) -> bool:
    """Store one message of a reader; False when the reader has ended."""
    try:
        message: dict[str, Any] = unpack(pipe.recv_bytes())
    except (EOFError, ConnectionError):
        return False
    if "failed" in message:
        raise RuntimeError(message["failed"])
    progress.add(message["bytes"])
    if "batch" in message:
        start, stop = batches[message["batch"]]
        found[start:stop] = message["results"]
    return True


@contextmanager
def _queue(batches: int) -> Iterator[int]:
    """A pipe as work queue: it holds the number of every batch, and a reader that takes one out owns the batch.

    All numbers fit into one page, so the write cannot block.
    """
    reading_end, writing_end = os.pipe()
    try:
        os.write(writing_end, b"".join(_NUMBER.pack(number) for number in range(batches)))
        os.close(writing_end)
        yield reading_end
    finally:
        os.close(reading_end)


@contextmanager
def _forked(
    source: Openable, tasks: Sequence[ReadTask], batches: list[tuple[int, int]], queue: int, readers: int
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
                except OSError:  # the sandbox or a process limit forbids it: the readers so far do the work, or none
                    pipes.pop().close()
                    break
                if pid == 0:
                    _read_and_exit(_ReaderState(source, tasks, batches, queue, sending), parent)
                pids.append(pid)
        yield list(pipes)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)  # a reader that has exited is a zombie until waitpid, so its pid is not reused
            os.waitpid(pid, 0)
        for pipe in pipes:
            pipe.close()


def _fork() -> int:
    with warnings.catch_warnings():
        # Python 3.12 warns of forks with threads. A job's process has none, and a reader needs no lock they could hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


class _ReaderState(NamedTuple):
    """State that a reader inherits through the fork."""

    source: Openable
    tasks: Sequence[ReadTask]
    batches: list[tuple[int, int]]
    queue: int
    pipe: Connection


def _read_and_exit(state: _ReaderState, parent: int) -> None:
    try:
        kernel.die_with_parent(parent)
        _close_others({state.queue, state.pipe.fileno(), *state.source.descriptors()})
        _read_batches(state)
    except BaseException as error:  # noqa: BLE001 -- nothing may return into the code of the process this is a copy of
        text = "".join(traceback.format_exception(error))[-8000:]
        state.pipe.send_bytes(pack({"failed": text}))
    finally:
        os._exit(0)


def _read_batches(state: _ReaderState) -> None:
    unreported = 0

    def report(count: int) -> None:
        nonlocal unreported
        unreported += count
        if unreported >= _REPORT_EVERY:
            state.pipe.send_bytes(pack({"bytes": unreported}))
            unreported = 0

    reader = _Reader(state.source, state.tasks, report)
    while number := os.read(state.queue, _NUMBER.size):
        (batch,) = _NUMBER.unpack(number)
        found = reader.batch(*state.batches[batch])
        state.pipe.send_bytes(pack({"bytes": unreported, "batch": batch, "results": found}))
        unreported = 0


def _close_others(kept: set[int]) -> None:
    """Close inherited descriptors: an open pipe to the worker would hide the end of the job's own process."""
    for descriptor in map(int, os.listdir("/dev/fd")):  # noqa: PTH208 -- numbers, not paths
        if descriptor > 2 and descriptor not in kept:  # noqa: PLR2004 -- standard streams
            with suppress(OSError):  # the descriptor of the listing itself
                os.close(descriptor)
