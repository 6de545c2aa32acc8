"""Test harness of the hostile cases: a worker's pipeline with real children, whose resources are measured."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import resource
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from arq.jobs import serialize_job

from hostile.cases import Case
from hostile.pdf import OUTSIDE
from hostile.reaching import PORT
from offloop.artifacts.store import Artifact, ArtifactStore
from offloop.errors import BadInput
from offloop.kinds.kind import Kind
from offloop.kinds.limits import Limits
from offloop.queue.record import Done, Failed
from offloop.redis.codec import pack
from offloop_server.toolkit.arguments import validate
from offloop_workers.children.fetching import Fetching
from offloop_workers.children.pool import Children
from offloop_workers.children.scratch import Scratch
from offloop_workers.engine.attempt import Performer
from offloop_workers.engine.claiming import Claim
from offloop_workers.sandbox import kernel
from support.files.rendered import Document
from support.hosts.outside import Outside

SECRET: Final = "canary-of-the-environment-51c2"  # noqa: S105 -- a canary in the worker's environment
NEVER: Final = (SECRET, "Traceback", "site-packages", "offloop_workers", "root:x:0")
"""Texts that no answer and no file of an answer may contain."""

GRACE_SECONDS: Final = 20
"""Seconds beyond a kind's time limit for the kill, the cleanup and the storing of files; on a quiet machine, 0.1."""

BEGINNING_MB: Final = 16
"""MiB that a child may map between idling and the start of its attempt; 3 were measured."""
LIBRARIES_MB: Final = 64
"""MiB of library pages that an idle child has mapped but not read; they do not count against a job's cap."""

_LOOK_SECONDS: Final = 0.02
_TIDY_SECONDS: Final = 20
_READ_BYTES: Final = 1 << 22
_STREAM_BYTES: Final = 1 << 16
_STREAMS: Final = 200
_PAGES: Final = 20
_MIB: Final = 1 << 20


@dataclass(slots=True)
class Ending:
    """Result of one case.

    Attributes:
        outcome: ``"completed"`` or the error code.
        answer: everything that its caller would read, including the contents of files.
        seconds: from the claim to the outcome.
        mapped_mb: peak address space of any one of its processes, beyond that of an idle child.
        resident_mb: peak memory of all its processes together, beyond that of an idle child.
        names: names of its files.
    """

    outcome: str
    answer: str
    seconds: float
    mapped_mb: float
    resident_mb: float
    names: list[str]


@dataclass(slots=True)
class Harness:
    """Children, store and folders of one worker, and a canary server that must receive no request."""

    kinds: Mapping[str, Kind[Any, Any]]
    children: Children
    temporary: Path
    store: ArtifactStore
    scratch: Scratch
    fetching: Fetching
    outside: Outside
    _count: int = field(default=0, init=False)

    async def run(self, case: Case, limits: Limits) -> Ending:
        """Run a case as a worker does, within these limits, and measure its processes."""
        kind = replace(self.kinds[case.kind], limits=limits)
        arguments = _replaced(case.arguments, OUTSIDE, self.outside.url("/canary"))
        arguments = _replaced(arguments, PORT, f":{self.outside.port}")
        try:
            json.dumps(arguments, ensure_ascii=False).encode()
            validate(kind.name, kind.input, arguments)
        except UnicodeEncodeError:  # not valid JSON: the front end's parser rejects such a call
            return Ending("bad_input", "", 0, 0, 0, [])
        except BadInput as error:  # the front end's answer, before anything is queued
            return Ending(error.reason, error.message, 0, 0, 0, [])
        watch = _Watch(self.children, limits.memory_mb * _MIB)
        watching = asyncio.create_task(watch())
        began = time.monotonic()
        try:
            outcome = await self.perform(kind, arguments)
        finally:
            seconds = time.monotonic() - began
            watching.cancel()
        files = [Artifact(**artifact) for artifact in outcome.artifacts] if isinstance(outcome, Done) else []
        answer = [_text(outcome), *[await self.content(file) for file in files]]
        if case.kind == "render_pdf":
            answer += [await self.text(file) for file in files]
        ended = "completed" if isinstance(outcome, Done) else outcome.error.reason
        names = [file.name for file in files]
        return Ending(ended, "\n".join(answer), seconds, watch.mapped / _MIB, watch.resident / _MIB, names)

    async def perform(self, kind: Kind[Any, Any], arguments: dict[str, Any]) -> Done | Failed:
        """Run the last attempt of a job."""
        self._count += 1
        job_id = f"job-{self._count}"
        payload = serialize_job(kind.name, (), arguments, None, 0, serializer=pack)
        claim = Claim(job_id, kind.name, kind.queue, "1", payload, 1, 1, 1, "mallory")
        performer = Performer({kind.name: kind}, self.children, self.store, self.scratch, self.fetching)
        outcome = await performer(claim, lambda _progress: None)
        assert isinstance(outcome, (Done, Failed))
        return outcome

    async def content(self, file: Artifact) -> str:
        """The first megabytes of a file as text; for a PDF also the first part of each decompressed stream."""
        found = b""
        async for piece in self.store.stream(file):
            found += piece
            if len(found) > _READ_BYTES:
                break
        if found.startswith(b"%PDF-"):
            found += b"".join(_decompressed(found))
        return found.decode("latin-1")

    async def text(self, file: Artifact) -> str:
        """The text of the first pages of a rendered PDF."""
        content = b"".join([piece async for piece in self.store.stream(file)])
        pages = list(Document(content).pdf)[:_PAGES]
        return "\n".join(page.get_textpage().get_text_range() for page in pages)

    async def assert_clean(self) -> None:
        """Check that no process and no file of earlier jobs is left, and that the canary server got no request.

        Raises:
            AssertionError: a check failed.
        """
        deadline = time.monotonic() + _TIDY_SECONDS
        while (found := self._left()) and time.monotonic() < deadline:  # noqa: ASYNC110 -- the kernel sends no event
            await asyncio.sleep(_LOOK_SECONDS)
        assert not found
        accepted, self.outside.accepted = self.outside.accepted, 0  # so that only this case fails, not all later ones
        assert accepted == 0, f"requests: {dict(self.outside.asked)}"

    def _left(self) -> list[str]:
        zygote = self.children.zygote.process
        assert zygote
        strays = set(_process_tree(zygote.pid)) - set(self.children.alive) - {zygote.pid}
        files = _listed(Path(self.scratch.attempt()).parent)
        files += [path for child in _listed(self.temporary) for path in _listed(child)]
        return [*map(str, strays), *map(str, files)]


class _Watch:
    """Samples the processes of the children until cancelled; the children are otherwise idle."""

    def __init__(self, children: Children, granted: int) -> None:
        zygote = children.zygote.process
        assert zygote
        self._children = children
        self._granted = granted
        self._before = {pid: _memory(pid) for pid in children.alive}
        idle = [_memory(zygote.pid), *self._before.values()]
        # A new child shares few of the zygote's pages; it may come to share all of them without allocating memory.
        self._idle = _Memory(mapped=max(one.mapped for one in idle), resident=idle[0].resident)
        self._seen: dict[int, int] = {}
        self.mapped = 0

    @property
    def resident(self) -> int:
        return sum(self._seen.values())

    async def __call__(self) -> None:
        while True:
            for leader in list(self._children._busy):
                for pid in _process_tree(leader):
                    self._sample(pid)
            await asyncio.sleep(_LOOK_SECONDS)

    def _sample(self, pid: int) -> None:
        now, before = _memory(pid), self._before.get(pid, _Memory())
        # The peaks of a reused child may be those of an earlier job.
        mapped = now.mapped if now.most_mapped == before.most_mapped else now.most_mapped
        resident = now.resident if now.most_resident == before.most_resident else now.most_resident
        self.mapped = max(self.mapped, mapped - self._start(pid))
        self._seen[pid] = max(self._seen.get(pid, 0), resident - self._idle.resident)

    def _start(self, pid: int) -> int:
        """Bytes that the child had mapped when its attempt began, derived from its cap, which counts from there."""
        start = 0
        with contextlib.suppress(OSError):
            start = resource.prlimit(pid, resource.RLIMIT_AS)[0] - self._granted  # without a cap -1, so below zero
        return min(max(self._idle.mapped, start), self._idle.mapped + BEGINNING_MB * _MIB)


@dataclass(frozen=True, slots=True)
class _Memory:
    """Memory of a process in bytes, now and at its peak; 0 if unknown."""

    mapped: int = 0
    resident: int = 0
    most_mapped: int = 0
    most_resident: int = 0


def _memory(pid: int) -> _Memory:
    try:
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return _Memory(*[int(lines[name].split()[0]) << 10 for name in ("VmSize", "VmRSS", "VmPeak", "VmHWM")])
    except (OSError, KeyError):
        return _Memory()


def _process_tree(pid: int) -> Iterator[int]:
    yield pid
    for child in kernel.children_of(pid):
        yield from _process_tree(child)


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _replaced(value: Any, mark: str, target: str, depth: int = 9) -> Any:
    """The arguments with the placeholder of the outside host replaced by the canary server, up to some depth."""
    if isinstance(value, str):
        return value.replace(mark, target)
    if isinstance(value, dict) and depth:
        return {key: _replaced(inner, mark, target, depth - 1) for key, inner in value.items()}
    return (
        [_replaced(inner, mark, target, depth - 1) for inner in value] if isinstance(value, list) and depth else value
    )


def _text(outcome: Done | Failed) -> str:
    if isinstance(outcome, Failed):
        return json.dumps(outcome.error.to_wire(), ensure_ascii=False)
    files = [(artifact["name"], artifact["mime_type"]) for artifact in outcome.artifacts]
    return json.dumps([outcome.output, outcome.warnings, files], ensure_ascii=False)


def _decompressed(content: bytes) -> Iterator[bytes]:
    """The first part of each compressed stream of a PDF; no PDF reader, which a hostile file might break."""
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL)[:_STREAMS]:
        with contextlib.suppress(zlib.error):
            yield zlib.decompressobj().decompress(stream, _STREAM_BYTES)


def private_paths() -> tuple[str, ...]:
    """Paths of this machine that no answer may contain."""
    return tempfile.gettempdir(), str(Path(__file__).parents[2])
