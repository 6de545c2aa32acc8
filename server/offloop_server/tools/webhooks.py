"""Webhook tools: list_deliveries, replay_delivery, rotate_webhook_secret."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from offloop.kinds.kind import Model
from offloop.redis.codec import timestamp
from offloop.webhooks.deliveries import OVERLAP_SECONDS, Delivery, DeliveryState, Webhooks
from offloop_server.toolkit.answers import text_result
from offloop_server.toolkit.light_tool import LightTool, ModelT
from offloop_server.toolkit.services import AnyTool, Caller, Services
from offloop_server.tools.jobs import JobId

DeliveryId = Annotated[str, Field(min_length=1, max_length=64, description="From list_deliveries.")]


class DeliveryAnswer(Model):
    """One delivery: one URL is notified of the end of one job."""

    delivery_id: str = Field(description="The webhook-id that the receiver sees, at every attempt.")
    job_id: str
    kind: str
    url: str = Field(description="Without its query.")
    state: DeliveryState = Field(
        description="waiting for the job; pending: to be sent, now or again; delivered; failed: no success after the "
        "last retry, or refused; disabled: the URL answered 410 Gone."
    )
    attempts: int
    last_status: int | None = Field(description="HTTP status of the last answer.")
    last_error: str | None
    created_at: str
    next_attempt_at: str | None


class DeliveriesAnswer(Model):
    """A page of deliveries."""

    deliveries: list[DeliveryAnswer]
    cursor: str | None = Field(description="Pass it to list_deliveries to go on; null at the end.")


class SecretAnswer(Model):
    """A new signing secret."""

    secret: str = Field(description="Shown this once; receivers verify webhook-signature with it.")
    old_secrets_sign_until: str | None = Field(
        description="When the older secrets stop signing; null: none of them signs."
    )


class ListDeliveriesArguments(Model):
    """Arguments of list_deliveries."""

    job_id: JobId | None = Field(None, description="Only those of this job.")
    state: DeliveryState | None = Field(None, description="Only those in this state.")
    limit: Annotated[int, Field(ge=1, le=100)] = Field(20, description="Most deliveries in one answer.")
    cursor: Annotated[str, Field(max_length=100)] | None = Field(None, description="From the last answer.")


class ReplayDeliveryArguments(Model):
    """Arguments of replay_delivery."""

    delivery_id: DeliveryId


class RotateWebhookSecretArguments(Model):
    """Arguments of rotate_webhook_secret."""

    revoke_old: bool = Field(
        default=False, description="True: the old secrets stop signing immediately, as when one has leaked."
    )


class _WebhookTool(LightTool[ModelT]):
    family = "webhooks"

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._webhooks = Webhooks(services.redis)


class ListDeliveries(_WebhookTool[ListDeliveriesArguments]):
    """Lists the deliveries of the caller."""

    name = "list_deliveries"
    description = "List what was or will be sent to your notify_url targets, newest first: state, attempts, last error."
    arguments = ListDeliveriesArguments
    answers = DeliveriesAnswer

    async def do(self, value: ListDeliveriesArguments, caller: Caller) -> CallToolResult:
        page = await self._webhooks.deliveries(
            principal=caller.principal, job_id=value.job_id, state=value.state, limit=value.limit, cursor=value.cursor
        )
        lines = [_line(delivery) for delivery in page.deliveries] or ["No deliveries match."]
        if page.cursor:
            lines.append(f"There are more: call list_deliveries with cursor={page.cursor!r} and the same filters.")
        structured = DeliveriesAnswer(deliveries=[_described(each) for each in page.deliveries], cursor=page.cursor)
        return text_result("\n".join(lines), structured)


class ReplayDelivery(_WebhookTool[ReplayDeliveryArguments]):
    """Sends one delivery again."""

    name = "replay_delivery"
    description = (
        "Send a delivery again now, with all its retries and under the same webhook-id; "
        "one whose URL had answered 410 Gone is notified again from then on."
    )
    arguments = ReplayDeliveryArguments
    answers = DeliveryAnswer
    read_only = False
    open_world = True

    async def do(self, value: ReplayDeliveryArguments, caller: Caller) -> CallToolResult:
        delivery = await self._webhooks.replay(value.delivery_id, principal=caller.principal)
        text = f'{_line(delivery)} Call list_deliveries(job_id="{delivery.job_id}") to see its outcome.'
        return text_result(text, _described(delivery))


class RotateWebhookSecret(_WebhookTool[RotateWebhookSecretArguments]):
    """Makes a new signing secret."""

    name = "rotate_webhook_secret"
    description = (
        "Get a new secret that signs your webhooks, the first one too; it is shown only here. "
        f"The old ones sign as well for {OVERLAP_SECONDS // 3600} hours, so receivers can change over."
    )
    arguments = RotateWebhookSecretArguments
    answers = SecretAnswer
    read_only = False
    destructive = True
    idempotent = False

    async def do(self, value: RotateWebhookSecretArguments, caller: Caller) -> CallToolResult:
        overlap = 0 if value.revoke_old else OVERLAP_SECONDS
        new = await self._webhooks.rotate(principal=caller.principal, overlap_seconds=overlap)
        until = timestamp(new.until) if new.until else None
        old = f"Older secrets sign too until {until}." if until else "No older secret signs."
        text = f"Your webhooks are signed with {new.secret} from now on: keep it, it is not shown again. {old}"
        return text_result(text, SecretAnswer(secret=new.secret, old_secrets_sign_until=until))


def tools(services: Services) -> list[AnyTool]:
    """All tools of this module."""
    return [ListDeliveries(services), ReplayDelivery(services), RotateWebhookSecret(services)]


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
    """One delivery as a sentence."""
    how: str = delivery.state
    if delivery.next_attempt and delivery.attempts:
        how = f"pending, sent again at {timestamp(delivery.next_attempt)}"
    after = f" after {delivery.attempts} attempt(s)" if delivery.attempts else ""
    why = f" ({delivery.error})" if delivery.error else ""
    return f"{delivery.delivery_id} ({delivery.kind} {delivery.job_id}) to {delivery.url}: {how}{after}{why}."
