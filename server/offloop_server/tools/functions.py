"""Declared functions as light tools: ``async def`` runs on the event loop, ``def`` in a thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mcp_types import CallToolResult, TextContent

from offloop import logs
from offloop.errors import JobError, LimitExceeded, OffloopError, leaves
from offloop.kinds.kind import Model
from offloop_server.runtime.threads import as_failure
from offloop_server.toolkit.light_tool import LightTool

if TYPE_CHECKING:
    from offloop.kinds.tool import DeclaredTool
    from offloop_server.toolkit.services import AnyTool, Caller, Services

MAX_ANSWER: Final = 1 << 20
"""Bytes of one answer: the event loop serialises it and a model reads it. Larger results are artifacts of jobs."""

log = logs.get(__name__)


class LightFunction(LightTool[Model]):
    """The tool of one declared function.

    Args:
        declared: the function with its contract.
        services: the services of this front end; a ``def`` runs in its threads.
    """

    def __init__(self, declared: DeclaredTool[Any, Any], services: Services) -> None:
        super().__init__(services)
        self.name = declared.name
        self.description = declared.description
        self.arguments = declared.input
        self.answers = declared.output
        self.read_only = declared.read_only
        self.destructive = declared.destructive
        self.idempotent = declared.idempotent
        self.open_world = declared.open_world
        self.family = declared.family
        self._declared = declared

    async def do(self, value: Model, caller: Caller) -> CallToolResult:
        try:
            answer = await (self._awaited(value) if self._declared.asynchronous else self._threaded(value, caller))
        except BaseExceptionGroup as group:
            causes = list(leaves(group))
            if not all(isinstance(cause, Exception) for cause in causes):
                raise
            raise self._each(causes) from None
        if not isinstance(answer, self.answers):
            message = f"{self.name} returned {type(answer).__name__} instead of {self.answers.__name__}"
            raise TypeError(message)
        text = answer.model_dump_json()
        if len(text) > MAX_ANSWER:
            message = f"The answer of {self.name} has {len(text)} characters; {MAX_ANSWER} may be sent. Ask for less."
            raise LimitExceeded(message)
        return CallToolResult(content=[TextContent(text=text)], structured_content=answer.model_dump(mode="json"))

    async def _awaited(self, value: Model) -> Any:
        seconds = self._declared.seconds
        try:
            async with asyncio.timeout(seconds) as limit:
                with _unmarked():
                    return await self._declared.function(value)
        except SystemExit as error:
            raise as_failure(error) from error
        except TimeoutError:
            if not limit.expired():
                raise  # the function's own
            message = f"{self.name} did not answer within its {seconds:g} s and was stopped. Ask for less."
            raise LimitExceeded(message) from None

    async def _threaded(self, value: Model, caller: Caller) -> Any:
        return await self._services.threads.run(
            partial(self._declared.function, value),
            name=self.name,
            principal=caller.principal,
            seconds=self._declared.seconds,
        )

    def _each(self, causes: list[BaseException]) -> JobError:
        """An exception group as one failure: each foreseen cause with its message, one sentence for the others."""
        messages = [cause.message for cause in causes if isinstance(cause, OffloopError)]
        crashes = [cause for cause in causes if not isinstance(cause, OffloopError)]
        for crash in crashes:
            log.error("tool failed", tool=self.name, exc_info=crash)
        if crashes:
            messages.append(f"{self.name} failed inside the server; the operator's log has the reason.")
        return JobError("\n".join(dict.fromkeys(messages)))


def tools(services: Services) -> list[AnyTool]:
    """One tool for each declared function."""
    return [LightFunction(declared, services) for declared in services.kinds.tools.values()]


@contextlib.contextmanager
def _unmarked() -> Iterator[None]:
    """Restore the task's count of cancellation requests, except for a cancellation that is still propagating.

    A failure that reaches an ``asyncio.TaskGroup`` while it waits for its last tasks leaves a request on the task.
    Before Python 3.11.3 the next timeout in that task, which is the server's, would then end as a cancellation.
    """
    task = asyncio.current_task()
    marks = task.cancelling() if task else 0
    try:
        yield
    except asyncio.CancelledError:
        marks += 1  # the canceller, such as the time limit, takes this one back itself
        raise
    finally:
        while task and task.cancelling() > marks:
            task.uncancel()
