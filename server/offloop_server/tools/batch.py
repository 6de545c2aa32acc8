"""run_batch: many inputs for one job tool in one call."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Final

from mcp_types import CallToolResult, Tool
from pydantic import Field

from offloop.errors import BadInput, NotFound, OffloopError, Refused
from offloop.kinds.kind import Kind, Model
from offloop.queue import batches
from offloop.queue.submission import Submission
from offloop_server.toolkit.answers import JobAnswer
from offloop_server.toolkit.arguments import schema, validate
from offloop_server.toolkit.batch_answers import BatchOutput, batch_answer
from offloop_server.toolkit.job_tool import Budget, check_references, notes, subscribed
from offloop_server.toolkit.light_tool import LightTool
from offloop_server.toolkit.services import AnyTool, Caller, Services

_MAX_FAULTS: Final = 3
"""Invalid items that one refusal names."""


class RunBatchArguments(Budget):
    """Arguments of run_batch."""

    kind: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="The tool to run on every item.")
    items: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=batches.MAX_ITEMS)] = Field(
        description=f"The tool's own arguments, once for each item; 1 to {batches.MAX_ITEMS} items."
    )
    common: dict[str, Any] = Field(
        default_factory=dict, description="Arguments that all items share; an item's own go before them."
    )
    stop_on_error: bool = Field(default=False, description="End the other items as soon as one has failed.")


class RunBatch(LightTool[RunBatchArguments]):
    """Many inputs as one job."""

    name = batches.KIND
    description = (
        "Run one job tool on many inputs in one call: one job_id, one progress, one cancel. Each item has an outcome "
        "of its own and one that fails does not stop the others. The output lists the items, "
        f"{batches.PAGE} in one answer; job_status shows them at any time, and the next ones with cursor."
    )
    arguments = RunBatchArguments
    answers = JobAnswer[BatchOutput]
    read_only = False
    idempotent = False

    @property
    def _kinds(self) -> Mapping[str, Kind[Any, Any]]:
        return self._services.offered

    def describe(self) -> Tool:
        """The tool's entry in ``tools/list``: the kinds by name, and its own arguments before those of every job."""
        found = schema(self.arguments)
        fields = found["properties"]
        order = [name for name in fields if name not in Budget.model_fields]
        found["properties"] = {name: fields[name] for name in (*order, *Budget.model_fields)}
        found["properties"]["kind"] = {**fields["kind"], "enum": list(self._kinds)}
        return super().describe().model_copy(update={"input_schema": found})

    async def do(self, value: RunBatchArguments, caller: Caller) -> CallToolResult:
        """Check every item, submit all of them, and wait within the budget."""
        kind = self._kind(value.kind)
        subscription = subscribed(value, self._services)
        values = await asyncio.to_thread(_checked, kind, value)
        await self._check_references(values, caller.principal)

        async def submit(job_id: str) -> Submission:
            return await self._services.batches.submit(
                kind,
                values,
                principal=caller.principal,
                job_id=job_id,
                key=value.idempotency_key,
                wait=value.wait_seconds > 0,
                subscription=subscription,
                stop_on_error=value.stop_on_error,
            )

        record = await self._services.calls.follow(
            submit,
            principal=caller.principal,
            wait=value.wait_seconds,
            relay=caller.relay,
            reachable=value.idempotency_key is not None or subscription is not None,
        )
        noted = await notes(record, self._services, subscription)
        return await batch_answer(record, self._services.redis, caller.links, notes=noted)

    def _kind(self, name: str) -> Kind[Any, Any]:
        if name == self.name:
            message = f"kind: a batch cannot hold batches; send one batch for each kind. There are: {self._named()}."
            raise BadInput(message)
        if name not in self._kinds:
            close = difflib.get_close_matches(name, self._kinds, n=1)
            hint = f"Did you mean {close[0]}? " if close else ""
            message = f"kind: {name!r} is no tool that runs as a job. {hint}There are: {self._named()}."
            raise BadInput(message)
        return self._kinds[name]

    def _named(self) -> str:
        return ", ".join(self._kinds)

    async def _check_references(self, values: list[Model], principal: str) -> None:
        for index, value in enumerate(values):
            try:
                await check_references(value, principal, self._services)
            except (BadInput, NotFound, Refused) as error:
                raise _refusal([f"items[{index}]: {error.message}"]) from None


def tools(services: Services) -> list[AnyTool]:
    """The tool, unless no kind is offered."""
    return [RunBatch(services)] if services.offered else []


def _checked(kind: Kind[Any, Any], value: RunBatchArguments) -> list[Model]:
    """Validate the items as inputs of the kind; takes milliseconds for many, so it runs in a thread.

    Raises:
        BadInput: some are invalid; the message names the first of them, and their fields.
    """
    values: list[Model] = []
    faults: list[str] = []
    for index, item in enumerate(value.items):
        try:
            values.append(validate(f"items[{index}]", kind.input, {**value.common, **item}))
        except BadInput as error:
            faults.append(error.message.replace(" was not run", "").removesuffix(_CORRECT))
    if faults:
        raise _refusal(faults)
    return values


_CORRECT: Final = " Correct the arguments and call it again."


def _refusal(faults: list[str]) -> OffloopError:
    more = f" (and {len(faults) - _MAX_FAULTS} more items)" if len(faults) > _MAX_FAULTS else ""
    return BadInput(f"run_batch: {' '.join(faults[:_MAX_FAULTS])}{more} Nothing was queued.")
