"""The tool of a job kind: flat schema, validation, submission, answer or refusal."""

from __future__ import annotations

from typing import Annotated, Any

from mcp_types import CallToolResult, Tool, ToolAnnotations
from pydantic import Field

from offloop.errors import BadInput, Unavailable
from offloop.kinds.kind import Kind, Model
from offloop.kinds.options import Family
from offloop.kinds.references import Scheme, parse, references
from offloop.outbound.policy import Policy
from offloop.queue import batches
from offloop.queue.client import live_queues
from offloop.queue.record import Record, State
from offloop.queue.subscription import WebhookSubscription, webhook_policy
from offloop_server.toolkit.answers import JobAnswer, answer
from offloop_server.toolkit.arguments import output_schema, schema, split, validate
from offloop_server.toolkit.inline import inlined
from offloop_server.toolkit.services import AnyTool, Caller, Services

WaitSeconds = Annotated[float, Field(ge=0, le=50)]


class Budget(Model):
    """Arguments of every job tool beside the kind's own."""

    wait_seconds: WaitSeconds = Field(
        20,
        description="Seconds to wait for the result; a longer job goes on and is answered as a job_id. "
        "0: answer immediately.",
    )
    idempotency_key: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None, description="The same key again joins the same job instead of starting another."
    )
    notify_url: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="https URL that gets a signed POST with the job's record when it ends; retried for a day. "
        "list_deliveries shows the outcome, rotate_webhook_secret gives the secret to verify with.",
    )


class JobTool:
    """The tool of one kind.

    Args:
        kind: the kind.
        services: the services of this front end.
    """

    def __init__(self, kind: Kind[Any, Any], services: Services) -> None:
        self._kind = kind
        self._services = services

    @property
    def name(self) -> str:
        """The kind's name."""
        return self._kind.name

    @property
    def family(self) -> Family | None:
        """The kind's family."""
        return self._kind.family

    def describe(self) -> Tool:
        """The tool's entry in ``tools/list``, derived from the kind's contract."""
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
        budgeted, own = split(arguments, Budget, self._kind.input)
        budget = validate(self.name, Budget, budgeted)
        value: Model = validate(self.name, self._kind.input, own)
        subscription = subscribed(budget, self._services)
        await check_references(value, caller.principal, self._services)
        record = await self._services.calls.run(
            self._kind,
            value,
            principal=caller.principal,
            wait=budget.wait_seconds,
            key=budget.idempotency_key,
            relay=caller.relay,
            subscription=subscription,
        )
        return answer(
            record,
            caller.links,
            notes=await notes(record, self._services, subscription),
            inlined=await inlined(record, self._services.store),
        )


def tools(services: Services) -> list[AnyTool]:
    """One tool for each kind that is offered."""
    return [JobTool(kind, services) for kind in services.offered.values()]


def subscribed(budget: Budget, services: Services) -> WebhookSubscription | None:
    """The webhook subscription that the call asks for.

    Raises:
        BadInput: its URL is not allowed.
    """
    return WebhookSubscription.to(budget.notify_url, webhook_policy(services.settings)) if budget.notify_url else None


async def check_references(value: Model, principal: str, services: Services) -> None:
    """Check the references of an input before it is queued.

    Raises:
        NotFound: an artifact is missing, or belongs to another principal.
        BadInput: an artifact has no bytes yet, or a root does not exist.
        Refused: a URL is not allowed.
    """
    for reference in references(value):
        parsed = parse(reference)
        if parsed.scheme is Scheme.ARTIFACT:
            (await services.store.get(parsed.name, principal=principal)).check_uploaded()
        elif parsed.scheme is Scheme.URL:
            Policy.of(services.settings).check(parsed.name)
        elif parsed.scheme is Scheme.ROOT and parsed.name not in services.settings.file_roots:
            roots = ", ".join(sorted(services.settings.file_roots)) or "none"
            message = (
                f"{reference[:100]!r}: there is no root {parsed.name!r} (open roots: {roots}). "
                "Upload the file with create_upload, or send it as data:."
            )
            raise BadInput(message)


async def notes(record: Record, services: Services, subscription: WebhookSubscription | None = None) -> tuple[str, ...]:
    """Sentences to add to the answer about a job: its webhook, and a queue without a worker."""
    ended = record.state.terminal
    found = (f"{subscription.host} is notified when it ends.",) if subscription and not ended else ()
    try:
        waits = record.state is State.QUEUED or (record.kind == batches.KIND and not ended)
        if not waits or await live_queues(services.redis, [record.queue]):
            return found
    except Unavailable:  # the job was accepted: the answer must carry its id even without this note
        return found
    note = (
        f"No worker serves the queue {record.queue!r} at the moment; the job runs as soon as one does. "
        "If that does not happen, ask the operator to start `offloop worker`."
    )
    return (*found, note)


def _duration(seconds: int) -> str:
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds} seconds"
