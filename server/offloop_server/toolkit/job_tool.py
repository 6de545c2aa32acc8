"""A kind of job as MCP sees it: described flat, validated, called, answered or refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from mcp_types import CallToolResult, Tool, ToolAnnotations
from pydantic import Field

from offloop.errors import BadInput, SettingsError, Unavailable
from offloop.kinds.kind import Kind, Model
from offloop.kinds.options import Family
from offloop.kinds.references import Scheme, parse, references
from offloop.outbound.policy import Policy
from offloop.queue import batches
from offloop.queue.client import live_queues
from offloop.queue.record import Progress, State
from offloop.queue.subscription import WebhookSubscription, webhook_policy
from offloop_server.toolkit.answers import JobAnswer, answer
from offloop_server.toolkit.arguments import output_schema, schema, split, validate
from offloop_server.toolkit.inline import shown

if TYPE_CHECKING:
    from arq.connections import ArqRedis

    from offloop.artifacts.links import Links
    from offloop.artifacts.store import ArtifactStore
    from offloop.queue.record import Record
    from offloop.settings import Settings
    from offloop_server.waiting.calls import Calls

WaitSeconds = Annotated[float, Field(ge=0, le=50)]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and how to reach them while the call lasts.

    Attributes:
        principal: the owner of what comes of the call.
        links: makes links under the address the caller used.
        relay: tells the caller of progress, where they asked to be told.
    """

    principal: str
    links: Links
    relay: Callable[[Progress], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Services:
    """What the tools work with."""

    settings: Settings
    redis: ArqRedis
    store: ArtifactStore
    calls: Calls


class AnyTool(Protocol):
    """What the front end needs of a tool."""

    @property
    def name(self) -> str:
        pass

    @property
    def family(self) -> Family | None:
        pass

    def describe(self) -> Tool:
        """As it is listed."""

    async def call(self, arguments: dict[str, Any], caller: Caller) -> CallToolResult:
        """Run it.

        Raises:
            OffloopError: refused; the message is for the caller.
        """


class Budget(Model):
    """The arguments that every heavy tool has beside its own."""

    wait_seconds: WaitSeconds = Field(
        20, description="Seconds to wait for the result; a longer job goes on and is answered as a job_id. 0: at once."
    )
    idempotency_key: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None, description="The same key again joins the same job instead of starting another."
    )
    notify_url: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="https URL that gets a signed POST with the job's record when it ends; retried for a day. "
        "list_deliveries tells how it went, rotate_webhook_secret gives the secret to verify with.",
    )


class HeavyTool:
    """The tool of one kind.

    Args:
        kind: the kind.
        services: what it works with.
    """

    def __init__(self, kind: Kind[Any, Any], services: Services) -> None:
        self._kind = kind
        self._services = services
        self._may_be_told = webhook_policy(services.settings)

    @property
    def name(self) -> str:
        """The kind's name."""
        return self._kind.name

    @property
    def family(self) -> Family | None:
        """The kind's family."""
        return self._kind.family

    def describe(self) -> Tool:
        """Name, description and schemas come from the kind's contract."""
        kept = self._services.settings.retention_seconds
        return Tool(
            name=self.name,
            title=self.name.replace("_", " ").capitalize(),
            description=f"{self._kind.description}\nA long run is answered with a job_id; kept for {_duration(kept)}.",
            input_schema=schema(self._kind.input, Budget),
            output_schema=output_schema(JobAnswer[self._kind.output]),  # type: ignore[name-defined]
            annotations=ToolAnnotations(
                read_only_hint=False,
                destructive_hint=False,
                idempotent_hint=self._kind.pure,
                open_world_hint=False,
            ),
        )

    async def call(self, arguments: dict[str, Any], caller: Caller) -> CallToolResult:
        """Submit the job and wait within the budget.

        Raises:
            OffloopError: refused; nothing was queued.
        """
        mine, rest = split(arguments, Budget)
        budget = validate(self.name, Budget, mine)
        value: Model = validate(self.name, self._kind.input, rest)
        notice = WebhookSubscription.to(budget.notify_url, self._may_be_told) if budget.notify_url else None
        await check_references(value, caller.principal, self._services)
        record = await self._services.calls.run(
            self._kind,
            value,
            principal=caller.principal,
            wait=budget.wait_seconds,
            key=budget.idempotency_key,
            relay=caller.relay,
            notice=notice,
        )
        told = (f"{notice.host} is told when it ends.",) if notice and not record.state.terminal else ()
        return answer(
            record,
            caller.links,
            notes=(*told, *await notes(record, self._services)),
            shown=await shown(record, self._services.store),
        )


async def check_references(value: Model, principal: str, services: Services) -> None:
    """Refuse at once what can be known now: a foreign or missing artifact, a URL or root that is not allowed."""
    for reference in references(value):
        parsed = parse(reference)
        if parsed.scheme is Scheme.ARTIFACT:
            artifact = await services.store.get(parsed.name, principal=principal)
            if artifact.pending:
                message = f"artifact:{parsed.name} has no bytes yet: PUT the file to its upload_url first."
                raise BadInput(message)
        elif parsed.scheme is Scheme.URL:
            Policy.of(services.settings).check(parsed.name)
        elif parsed.scheme is Scheme.ROOT and parsed.name not in services.settings.file_roots:
            roots = ", ".join(sorted(services.settings.file_roots)) or "none"
            message = (
                f"{reference[:100]!r}: there is no root {parsed.name!r} (open roots: {roots}). "
                "Upload the file with create_upload, or send it as data:."
            )
            raise BadInput(message)


async def notes(record: Record, services: Services) -> tuple[str, ...]:
    """Sentences that the record alone cannot say: that nobody serves the queue it waits in."""
    try:
        waits = record.state is State.QUEUED or (record.kind == batches.KIND and not record.state.terminal)
        if not waits or await live_queues(services.redis, [record.queue]):
            return ()
    except Unavailable:  # the job was accepted: its id must reach the caller, with or without this
        return ()
    note = (
        f"No worker serves the queue {record.queue!r} at the moment; the job runs as soon as one does. "
        "If that does not happen, ask the operator to start `offloop worker`."
    )
    return (note,)


def toolbox(tools: list[AnyTool]) -> Mapping[str, AnyTool]:
    """The tools by name, in the order in which they are listed.

    Raises:
        SettingsError: two have one name.
    """
    box: dict[str, AnyTool] = {}
    for tool in tools:
        if box.setdefault(tool.name, tool) is not tool:
            message = f"the name {tool.name!r} is taken by a tool of the server; rename yours"
            raise SettingsError(message)
    return box


def _duration(seconds: int) -> str:
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds} seconds"
