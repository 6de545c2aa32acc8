"""Webhook subscription: a URL for the end of a job, checked as far as possible when the job is submitted."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, Final, Self

from offloop.errors import BadInput, Busy, OffloopError, Refused
from offloop.outbound.policy import Policy
from offloop.redis import schema

if TYPE_CHECKING:
    from offloop.settings import Settings

MAX_URL: Final = 2048
_BACKLOG_SECONDS: Final = 60.0


def webhook_policy(settings: Settings) -> Policy:
    """The policy for webhook URLs, from the settings."""
    return Policy(
        tuple(host.lower() for host in settings.webhook_hosts),
        tuple(ip_network(network) for network in settings.fetch_networks),
        frozenset(settings.fetch_ports),
        setting="OFFLOOP_WEBHOOK_HOSTS",
    )


@dataclass(frozen=True, slots=True)
class WebhookSubscription:
    """A URL that gets a delivery of the end of a job.

    Attributes:
        delivery_id: id of its delivery; the ``webhook-id`` of every attempt.
        url: the destination.
        host: host of the URL, with the port unless it is the default.
    """

    delivery_id: str
    url: str
    host: str

    @classmethod
    def to(cls, url: str, policy: Policy) -> Self:
        """A new subscription to a URL.

        Raises:
            BadInput: the policy refuses the URL; the message states the reason. Addresses are checked when it is sent.
        """
        if len(url) > MAX_URL:
            message = f"notify_url has {len(url)} characters, {MAX_URL} are allowed; nothing was queued."
            raise BadInput(message)
        try:
            parsed = policy.check(url)
        except Refused as error:
            message = f"notify_url: {error.message} Nothing was queued."
            raise BadInput(message) from None
        host = parsed.netloc.decode("ascii")
        if parsed.scheme == "http" and not _named(parsed.host, policy):
            message = (
                f"notify_url must begin with https://: deliveries to {host} would travel in the clear. "
                "Only the operator can allow that, by naming the host in OFFLOOP_WEBHOOK_HOSTS. Nothing was queued."
            )
            raise BadInput(message)
        return cls(f"msg_{secrets.token_urlsafe(16)}", str(parsed), host)

    def to_wire(self, principal: str, kind: str, *, keyed: bool, keep_ms: int) -> dict[str, Any]:
        """The argument of a submit's script.

        Args:
            principal: the submitting principal.
            kind: of the job.
            keyed: whether an idempotency key says that the same request may have been sent before.
            keep_ms: how long the job may wait to be run.
        """
        return {
            "id": self.delivery_id,
            "url": self.url,
            "address": hashlib.sha256(self.url.encode()).hexdigest()[:32],
            "destination": f"{self.host}|{principal}",  # a host has no bar
            "principal": principal,
            "kind": kind,
            "keyed": keyed,
            "index": schema.deliveries_key(principal),
            "keep": keep_ms + schema.DELIVERY_KEPT_MS,
        }

    def declined(self, reason: str) -> OffloopError:
        """The error of a script that did not accept the job with this subscription."""
        match reason:
            case "endpoint-gone":
                message = (
                    f"notify_url: {self.host} answered 410 Gone to an earlier delivery, so this URL gets nothing "
                    "more. Use another URL, or call replay_delivery for one of its deliveries once it is back. "
                    "Nothing was queued."
                )
                return BadInput(message)
            case "too-many-urls":
                message = (
                    f"notify_url: {schema.MAX_URLS} URLs are notified of this job already, and no more may be. "
                    "Leave notify_url out; nothing was queued."
                )
                return BadInput(message)
        message = (
            f"notify_url: {schema.MAX_WAITING_DELIVERIES} deliveries of yours wait for {self.host}, which takes them "
            "too slowly or not at all; list_deliveries shows why. Nothing was queued. Try again later, or without it."
        )
        return Busy(message, retry_after=_BACKLOG_SECONDS)


def _named(host: str, policy: Policy) -> bool:
    """Whether the operator has named this host, or a domain above it."""
    return any(host == name or (name.startswith("*.") and host.endswith(name[1:])) for name in policy.hosts)
