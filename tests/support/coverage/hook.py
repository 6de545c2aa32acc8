"""Measurement in processes that coverage alone would lose; executed at the start of every Python of a coverage run.

coverage measures each process that starts with its variables, and saves at the exit. Two kinds of process never exit:

- Forked processes (children, readers of hashes, probes) are killed or call `os._exit`, and cannot open a file once
  their sandbox has closed. They record into a file that is mapped right after the fork, before each frame they send or
  receive and before `os._exit`.
- Page converters are killed when their front end ends: a thread saves for them.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import marshal
import mmap
import os
import resource
import secrets
import struct
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from coverage import Coverage

if TYPE_CHECKING:
    from coverage.collector import Collector

Arc = tuple[int, int]

SUFFIX: Final = ".arcs"
_REGIONS: Final = 16
"""Logs in a file: one for the child, the others in turn for the processes that it forks itself."""
_REGION_BYTES: Final = 1 << 20
_LENGTH: Final = struct.Struct("=Q")
_SAVE_SECONDS: Final = 0.2

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *3 * [ctypes.c_int], ctypes.c_ssize_t]


class Log:
    """Mapped file of arcs, in place of coverage's database; written without a system call."""

    def __init__(self, folder: Path) -> None:
        descriptor = os.open(folder / f"{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, _REGIONS * _REGION_BYTES)
            self._memory = _mapped(descriptor, _REGIONS * _REGION_BYTES)
        finally:
            os.close(descriptor)
        self._region = 0
        self._further = itertools.cycle(range(1, _REGIONS))
        self._known: dict[str, set[Arc]] = {}

    def prepare_fork(self) -> None:
        """Choose the region of the next process that this one forks."""
        self._next = next(self._further)

    def move(self) -> None:
        """Write into that region from now on, in the forked process."""
        self._region = self._next

    def add_arcs(self, arcs: Mapping[str, Collection[Arc]]) -> None:
        """Append the arcs that are new; drop them if the region is full."""
        new = {}
        for name, found in arcs.items():
            known = self._known.setdefault(name, set())
            if fresh := set(found) - known:
                known |= fresh
                new[name] = list(fresh)
        if not new:
            return
        record = marshal.dumps(new)
        start = self._region * _REGION_BYTES
        (used,) = _LENGTH.unpack_from(self._memory, start)
        begin = start + _LENGTH.size + used
        if begin + len(record) <= start + _REGION_BYTES:
            self._memory[begin : begin + len(record)] = record
            # Last, so that a killed process leaves whole records only.
            _LENGTH.pack_into(self._memory, start, used + len(record))

    def add_file_tracers(self, tracers: Mapping[str, str]) -> None:
        """Do nothing: no plugin of coverage is in use."""


def _mapped(descriptor: int, size: int) -> memoryview:
    """The file as shared memory; Python's own `mmap` would keep a descriptor open, which tests of children count."""
    address = _LIBC.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, descriptor, 0)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "the file for coverage cannot be mapped")
    return memoryview((ctypes.c_char * size).from_address(address)).cast("B")


def read_arcs(path: Path) -> Iterator[dict[str, list[Arc]]]:
    """The records of a file that a `Log` has written."""
    with path.open("rb") as file:
        for region in range(_REGIONS):
            file.seek(region * _REGION_BYTES)
            (used,) = _LENGTH.unpack(file.read(_LENGTH.size))
            end = file.tell() + used
            while file.tell() < end:
                yield marshal.load(file)  # noqa: S302 -- written by a process of this run


class _Forks:
    """Records what forked processes execute."""

    def __init__(self, coverage: Coverage, collector: Collector, folder: Path) -> None:
        self._coverage = coverage
        self._collector = collector
        self._folder = folder
        self._log: Log | None = None

    def before(self) -> None:
        """Run in a process that is about to fork."""
        if self._log:
            self._log.prepare_fork()

    def after(self) -> None:
        """Run in the forked process: its data is its own, and goes into a log."""
        for found in list(self._collector.data.values()):
            found.clear()
        if self._log:
            self._log.move()
            return
        self._coverage._auto_save = False
        try:
            self._log = Log(self._folder)
        except OSError:  # forked inside a sandbox
            return
        self._collector.covdata = self._log  # type: ignore[assignment]  # all of it that a collector calls
        self._save_before(os, "_exit")
        if frames := sys.modules.get("offloop_workers.children.frames"):
            self._save_before(frames, "send")
            self._save_before(frames, "receive")

    def _save_before(self, module: Any, name: str) -> None:
        function: Callable[..., Any] = getattr(module, name)

        def saving(*arguments: Any) -> Any:
            with contextlib.suppress(Exception):  # of coverage; it must not become one of the work
                self._collector.flush_data()
            return function(*arguments)

        setattr(module, name, saving)


def _save_often(coverage: Coverage) -> NoReturn:
    while True:
        time.sleep(_SAVE_SECONDS)
        coverage.save()


def _install() -> None:
    coverage = Coverage.current()
    if coverage is None or coverage._collector is None or hasattr(coverage, "forks"):
        return
    forks = _Forks(coverage, coverage._collector, Path(os.environ["COVERAGE_FILE"]).parent)
    coverage.forks = forks  # type: ignore[attr-defined]  # once a process, though a folder may be listed twice
    os.register_at_fork(before=forks.before, after_in_child=forks.after)
    if "offloop_server.io.http.convert" in sys.orig_argv:
        resource.setrlimit = lambda *_: None  # it allows itself no files, and could not save
        threading.Thread(target=_save_often, args=[coverage], daemon=True).start()


if __name__ == "tests_coverage_hook":
    _install()
