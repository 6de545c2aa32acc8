"""The tools around webhooks: what became of each delivery, sending one again, and the secret that signs them."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel, ConfigDict, Field

from offloop.kinds.kind import Model
from offloop.redis.codec import timestamp
from offloop.webhooks.deliveries import OVERLAP_SECONDS, Delivery, DeliveryState, Webhooks
from offloop_server.toolkit.job_tool import Caller, Services
from offloop_server.toolkit.light_tool import LightTool
from offloop_server.tools.jobs import JobId

DeliveryId = Annotated[str, Field(min_length=1, max_length=64, description="From list_deliveries.")]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DeliveryAnswer(_Answer):
    """How it stands with telling one URL of one job."""

    delivery_id: str = Field(description="The webhook-id that the receiver sees, at every attempt.")
    job_id: str
    kind: str
    url: str = Field(description="Without its query.")
    state: DeliveryState = Field(
        description="waiting for the job; pending: to be sent, now or again; delivered; failed: given up after the "
        "last retry, or refused; disabled: the URL answered 410 Gone."
    )
    attempts: int
    last_status: int | None = Field(description="HTTP status of the last answer.")
    last_error: str | None
    created_at: str
    next_attempt_at: str | None


class DeliveriesAnswer(_Answer):
    """Several deliveries."""

    deliveries: list[DeliveryAnswer]
    cursor: str | None = Field(description="Pass it to list_deliveries to go on; null at the end.")


class SecretAnswer(_Answer):
    """A new secret."""

    secret: str = Field(description="Shown this once; receivers verify webhook-signature with it.")
    old_secrets_sign_until: str | None = Field(description="Until when the ones before it sign too; null: none does.")


class ListDeliveriesArguments(Model):
    """Which deliveries."""

    job_id: JobId | None = Field(None, description="Only those of this job.")
    state: DeliveryState | None = Field(None, description="Only those in this state.")
    limit: Annotated[int, Field(ge=1, le=100)] = Field(20, description="Most deliveries in one answer.")
    cursor: Annotated[str, Field(max_length=100)] | None = Field(None, description="From the answer before.")


class ReplayDeliveryArguments(Model):
    """Which delivery."""

    delivery_id: DeliveryId


class RotateWebhookSecretArguments(Model):
    """What becomes of the old ones."""

    revoke_old: bool = Field(
        default=False, description="True: the old secrets stop signing at once, as when one has leaked."
    )


class ListDeliveries(LightTool[ListDeliveriesArguments]):
    """The deliveries of the caller."""

    name = "list_deliveries"
    description = "List what was or will be sent to your notify_url targets, newest first: state, attempts, last error."
    arguments = ListDeliveriesArguments
    answers = DeliveriesAnswer
    family = "webhooks"

    def __init__(self, services: Services, webhooks: Webhooks) -> None:
        super().__init__(services)
        self._webhooks = webhooks

    async def do(self, value: ListDeliveriesArguments, caller: Caller) -> CallToolResult:
        page = await self._webhooks.deliveries(
            principal=caller.principal, job_id=value.job_id, state=value.state, limit=value.limit, cursor=value.cursor
        )
        lines = [_line(delivery) for delivery in page.deliveries] or ["No deliveries match."]
        if page.cursor:
            lines.append(f"There are more: call list_deliveries with cursor={page.cursor!r} and the same filters.")
        shown = DeliveriesAnswer(deliveries=[_described(each) for each in page.deliveries], cursor=page.cursor)
        return _answer("\n".join(lines), shown)


class ReplayDelivery(LightTool[ReplayDeliveryArguments]):
    """Sends one again."""

    name = "replay_delivery"
    description = (
        "Send a delivery again now, with all its retries and under the same webhook-id; "
        "one whose URL had answered 410 Gone is told again from then on."
    )
    arguments = ReplayDeliveryArguments
    answers = DeliveryAnswer
    family = "webhooks"
    read_only = False
    open_world = True

    def __init__(self, services: Services, webhooks: Webhooks) -> None:
        super().__init__(services)
        self._webhooks = webhooks

    async def do(self, value: ReplayDeliveryArguments, caller: Caller) -> CallToolResult:
        """Make it due."""
        delivery = await self._webhooks.replay(value.delivery_id, principal=caller.principal)
        text = f'{_line(delivery)} Call list_deliveries(job_id="{delivery.job_id}") to see what comes of it.'
        return _answer(text, _described(delivery))


class RotateWebhookSecret(LightTool[RotateWebhookSecretArguments]):
    """Makes a secret."""

    name = "rotate_webhook_secret"
    description = (
        "Get a new secret that signs your webhooks, the first one too; it is shown only here. "
        f"The old ones sign as well for {OVERLAP_SECONDS // 3600} hours, so receivers can change over."
    )
    arguments = RotateWebhookSecretArguments
    answers = SecretAnswer
    family = "webhooks"
    read_only = False
    destructive = True
    idempotent = False

    def __init__(self, services: Services, webhooks: Webhooks) -> None:
        super().__init__(services)
        self._webhooks = webhooks

    async def do(self, value: RotateWebhookSecretArguments, caller: Caller) -> CallToolResult:
        """Make it, show it."""
        overlap = 0 if value.revoke_old else OVERLAP_SECONDS
        new = await self._webhooks.rotate(principal=caller.principal, overlap_seconds=overlap)
        until = timestamp(new.until) if new.until else None
        old = f"Older secrets sign too until {until}." if until else "No older secret signs."
        text = f"Your webhooks are signed with {new.secret} from now on: keep it, it is not shown again. {old}"
        return _answer(text, SecretAnswer(secret=new.secret, old_secrets_sign_until=until))


def _answer(text: str, structured: BaseModel) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], structured_content=structured.model_dump(mode="json"))


def _described(delivery: Delivery) -> DeliveryAnswer:
    return DeliveryAnswer(
        delivery_id=delivery.delivery_id,
        job_id=delivery.job_id,
        kind=delivery.kind,
        url=delivery.url,
        state=delivery.state,
        attempts=delivery.attempts,
        last_status=delivery.status,
        last_error=delivery.error or None,
        created_at=timestamp(delivery.created),
        next_attempt_at=timestamp(delivery.next_attempt) if delivery.next_attempt else None,
    )


def _line(delivery: Delivery) -> str:
    """One sentence for a model."""
    how: str = delivery.state
    if delivery.next_attempt and delivery.attempts:
        how = f"pending, sent again at {timestamp(delivery.next_attempt)}"
    after = f" after {delivery.attempts} attempt(s)" if delivery.attempts else ""
    why = f" ({delivery.error})" if delivery.error else ""
    return f"{delivery.delivery_id} ({delivery.kind} {delivery.job_id}) to {delivery.url}: {how}{after}{why}."
