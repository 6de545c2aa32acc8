"""Background tasks: failures are logged, finite tasks may end, and nothing is left running."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import offloop_server
from offloop_server.runtime.background import Background, Counts

pytestmark = pytest.mark.anyio


async def test_an_endless_task_is_cancelled_and_a_finite_one_ends() -> None:
    seen: list[str] = []
    begun = asyncio.Event()

    async def endless() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    async def finite() -> None:
        await asyncio.sleep(0.01)
        seen.append("ended")

    async with Background(grace=10) as background:
        _ = background.start(endless(), name="endless")
        background.spawn(finite(), name="finite")
        await begun.wait()
    assert sorted(seen) == ["cancelled", "ended"]


async def test_a_finite_task_that_takes_too_long_is_cancelled() -> None:
    cancelled = asyncio.Event()

    async def long() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with asyncio.timeout(30), Background(grace=0.01) as background:
        background.spawn(long(), name="long")
    assert cancelled.is_set()


async def test_a_failure_is_logged_with_the_name_of_its_task_and_ends_nothing_else() -> None:
    async def broken() -> None:
        message = "it broke"
        raise ValueError(message)

    with capture_logs() as logged:
        async with Background(grace=1) as background:
            background.spawn(broken(), name="the broken one")
            background.spawn(asyncio.sleep(0), name="the good one")
    (line,) = logged
    assert (line["log_level"], line["task"], str(line["exc_info"])) == ("error", "the broken one", "it broke")


async def test_an_end_without_tasks_takes_no_time() -> None:
    async with asyncio.timeout(30), Background(grace=60):
        pass


async def test_every_task_is_counted_by_how_it_ended_and_named_while_it_runs() -> None:
    async def broken() -> None:
        message = "it broke"
        raise ValueError(message)

    async with asyncio.timeout(30), Background(grace=60) as background:
        loop = background.start(asyncio.Event().wait(), name="loop")
        background.spawn(broken(), name="broken")
        background.spawn(asyncio.sleep(0), name="good")
        assert background.names == ["broken", "good", "loop"]
        assert background.counts == Counts(running=3, finished=0, failed=0, cancelled=0)
        with capture_logs():
            while background.counts.running > 1:  # noqa: ASYNC110 -- both end within a few iterations of the loop
                await asyncio.sleep(0)
        assert background.counts == Counts(running=1, finished=1, failed=1, cancelled=0)
        loop.cancel()
        await asyncio.wait([loop])
        await asyncio.sleep(0)
    assert background.counts == Counts(running=0, finished=1, failed=1, cancelled=1)


async def test_a_task_cancelled_at_shutdown_is_named_in_the_log() -> None:
    with capture_logs() as logged:
        async with asyncio.timeout(30), Background(grace=0.01) as background:
            background.spawn(asyncio.Event().wait(), name="long")
    assert [(line["log_level"], line["task"]) for line in logged] == [("warning", "long")]


def loose_tasks(code: str) -> list[int]:
    """Lines that make an asyncio task outside of a ``TaskGroup``.

    A group is structured: its block does not end before its tasks have, a failure is raised there, and a cancellation
    reaches all of them. So a task of a group can neither be lost nor outlive the answer. Only the name that an
    ``async with asyncio.TaskGroup() as name`` around the call has bound counts as one.
    """
    found: list[int] = []

    def visit(node: ast.AST, groups: frozenset[str]) -> None:
        if isinstance(node, ast.AsyncWith):
            groups |= {
                item.optional_vars.id
                for item in node.items
                if ast.unparse(item.context_expr) == "asyncio.TaskGroup()" and isinstance(item.optional_vars, ast.Name)
            }
        match node:
            case ast.Attribute(value=ast.Name(id=owner), attr="create_task") if owner in groups:
                return
            case ast.Attribute(attr="create_task" | "ensure_future") | ast.Name(id="create_task" | "ensure_future"):
                found.append(node.lineno)
            case ast.alias(name="create_task" | "ensure_future") | ast.Call(func=ast.Attribute(attr="Task")):
                found.append(node.lineno)
        for child in ast.iter_child_nodes(node):
            visit(child, groups)

    visit(ast.parse(code), frozenset())
    return found


def test_no_task_is_made_elsewhere_but_in_a_group() -> None:
    folder = Path(offloop_server.__file__).parent
    found = {
        path.relative_to(folder).as_posix(): lines
        for path in folder.rglob("*.py")
        if (lines := loose_tasks(path.read_text("utf-8")))
    }
    assert len(found.pop("runtime/background.py")) == 1
    assert found == {}, "start it on Background, or use a TaskGroup"


@pytest.mark.parametrize(
    "code",
    [
        "asyncio.create_task(f())",
        "loop.create_task(f())",
        "asyncio.ensure_future(f())",
        "from asyncio import create_task",
        "asyncio.Task(f())",
        "make = asyncio.create_task",
        "async def f():\n    async with asyncio.TaskGroup() as group:\n        loop.create_task(f())",
        "async def f():\n    async with other() as group:\n        group.create_task(f())",
    ],
)
def test_the_search_for_loose_tasks_finds_them(code: str) -> None:
    assert len(loose_tasks(code)) == 1
    assert not loose_tasks("async def f():\n    async with asyncio.TaskGroup() as g:\n        g.create_task(f())")
