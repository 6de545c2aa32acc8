"""Rendering of a long table: overhead of offloop where the layout takes seconds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple, cast

from bench import documents, rendering, usage
from bench.measures.plan import Plan
from bench.report.figures import Figures

_BARE = "weasyprint"
_OURS = "offloop child"
_SECONDS = 300


class _Rendering(NamedTuple):
    """Cost of one call: seconds, CPU seconds of its processes, and the number of pages."""

    seconds: float
    cpu: float
    pages: int


async def table(plan: Plan, figures: Figures) -> None:
    """One table of about a hundred pages: ``offloop child`` is ``render_pdf`` in a fresh child of a warm zygote.

    ``weasyprint`` is the library's own call in a warm process, with nothing around it. Both processes stay, and the
    two calls alternate, each first as often as the other; ``of the bare call`` compares the two of one iteration. On a
    shared machine only the CPU time is meaningful: our child runs at lower priority, and an iteration takes long
    enough for the load to change.
    """
    names = [name for name in (_BARE, _OURS) if plan.among(name.partition(" ")[0])]
    for number in range(plan.rounds):
        async with AsyncExitStack() as stack:
            renderers = {name: await stack.enter_async_context(_renderer(name)) for name in names}
            for iteration in range(number, number + plan.of(3, 1)):
                order = names if iteration % 2 == 0 else names[::-1]
                rendered = {name: await renderers[name]() for name in order}
                for name, one in rendered.items():
                    figures.add("100-page table", name, "s", one.seconds)
                    figures.add("100-page table", name, "CPU s", one.cpu)
                if len(names) > 1:
                    bare, ours = rendered[_BARE], rendered[_OURS]
                    if bare.pages != ours.pages:  # half the work would be half the time
                        figures.failures.append(
                            f"pages of a table: {bare.pages} of the bare call, {ours.pages} of ours"
                        )
                    figures.add("100-page table, of the bare call", _OURS, "x", ours.seconds / bare.seconds)
                    figures.add("100-page table, of the bare call", _OURS, "x CPU", ours.cpu / bare.cpu)


@asynccontextmanager
async def _renderer(name: str) -> AsyncIterator[Callable[[], Coroutine[None, None, _Rendering]]]:
    """A warm process that renders a table on request and reports its cost."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.measures.table", name),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    writing = cast("asyncio.StreamWriter", process.stdin)
    reading = cast("asyncio.StreamReader", process.stdout)

    async def ask() -> _Rendering:
        writing.write(b"\n")
        async with asyncio.timeout(_SECONDS):
            return _Rendering(*json.loads(await reading.readline()))

    try:
        yield ask
    finally:
        writing.close()
        await process.wait()


async def _in_children() -> None:
    """Seconds from the assignment of the task to a waiting child until its file is complete."""
    from arq.jobs import serialize_job  # noqa: PLC0415 -- the other call does without

    from offloop.jobs.pdf import render_pdf  # noqa: PLC0415 -- the other call does without
    from offloop.redis import codec  # noqa: PLC0415 -- the same
    from offloop_workers.children.pool import Children  # noqa: PLC0415 -- the same
    from offloop_workers.children.task import Task  # noqa: PLC0415 -- the same

    with tempfile.TemporaryDirectory() as folder:
        async with Children(1, ("pdf",), Path(folder) / "temporary") as children:

            async def render(html: str, name: str) -> int:
                payload = serialize_job(render_pdf.name, (), {"html": html}, None, 0, serializer=codec.pack)
                task = Task(render_pdf, name, 1, payload, f"{folder}/{name}", {})
                pages: int = (await children.run(task, lambda _progress: None))["output"]["pages"]
                return pages

            await render("<p>warm", "warm")
            while await asyncio.to_thread(sys.stdin.readline):
                html, began = documents.table(), _now()
                pages = await render(html, f"table-{began[0]}")
                _answer(began, _now(), pages)


def _alone() -> None:
    import pikepdf  # noqa: PLC0415 -- only counts pages

    rendering.weasyprint_alone("<p>warm")
    while sys.stdin.readline():
        html, began = documents.table(), _now()
        content = rendering.weasyprint_file(html)
        ended = _now()
        with tempfile.TemporaryFile() as file:
            file.write(content)
            _answer(began, ended, len(pikepdf.open(file).pages))


def _now() -> tuple[float, float]:
    return time.perf_counter(), usage.cpu_seconds(os.getpid())


def _answer(began: tuple[float, float], ended: tuple[float, float], pages: int) -> None:
    one = _Rendering(ended[0] - began[0], ended[1] - began[1], pages)
    sys.__stdout__.write(json.dumps(one) + "\n")  # type: ignore[union-attr]  # it has one
    sys.__stdout__.flush()  # type: ignore[union-attr]  # the same


def _main(name: str) -> None:
    with contextlib.redirect_stdout(sys.stderr):
        if name == _BARE:
            _alone()
        else:
            asyncio.run(_in_children())


if __name__ == "__main__":
    _main(*sys.argv[1:])
