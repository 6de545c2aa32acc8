"""Webhook sender: one guarded POST, and the result of its response, or the lack of one, for the delivery."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import aiohttp

import offloop
from offloop import logs
from offloop.errors import Refused
from offloop.outbound.client import ConnectError, ConnectTimeoutError, OutboundClient, ReadTimeoutError, TransportError
from offloop.outbound.outcome import succeeded
from offloop.outbound.redirects import OutboundRequest, pause_asked_for

SECONDS: Final = 15.0
"""Total time of one attempt."""

CONNECT_SECONDS: Final = 5.0
_MAX_WAIT: Final = 12 * 3600
_READ_BYTES: Final = 16_384
_READ_SECONDS: Final = 1.0
_REDIRECTS: Final = range(300, 400)
_GONE: Final = 410

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """Result of one attempt.

    Attributes:
        state: what the delivery is now; ``retry`` where it is sent again, ``again`` where the attempt was cut short.
        status: the HTTP status, 0 where there was no answer.
        error: what went wrong, ``""`` where nothing did.
        delay: seconds until a retry.
    """

    state: Literal["delivered", "failed", "disabled", "retry", "again"]
    status: int = 0
    error: str = ""
    delay: float = 0


CUT_SHORT: Final = DeliveryResult("again")


class WebhookSender:
    """Sends deliveries to URLs that the client's policy allows; redirects are not followed.

    Args:
        client: sends the requests.
        schedule: seconds before each retry; after the last one the delivery has failed.
        seconds: of one attempt, at most.
    """

    def __init__(self, client: OutboundClient, schedule: Sequence[float], seconds: float = SECONDS) -> None:
        self._client = client
        self._schedule = schedule
        self._seconds = seconds

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, step: int) -> DeliveryResult:
        """Send once; never raises but when it is cancelled.

        Args:
            url: where to.
            headers: of the delivery.
            body: as it was signed.
            step: which attempt of the schedule this is, from 1.
        """
        try:
            async with asyncio.timeout(self._seconds):
                status, retry_after = await self._ask(url, headers, body)
        except Refused as error:
            return DeliveryResult("failed", error=error.message)
        except TimeoutError:
            return self.retry(step, 0, f"no answer within {self._seconds:g} s")
        except TransportError as error:
            return self.retry(step, 0, _reason(error))
        except Exception:
            log.exception("a delivery could not be sent")  # without its URL, whose path may be a secret
            return self.retry(step, 0, "it could not be sent")
        return self._judge(step, status, retry_after)

    async def _ask(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, float]:
        ours = {"user-agent": f"offloop/{offloop.__version__}", "accept": "*/*", "accept-encoding": "identity"}
        request = OutboundRequest(url, "POST", {**ours, **headers}, body)
        checked, connect = self._client.policy.check(url), min(CONNECT_SECONDS, self._seconds)
        async with self._client.send(checked, request, connect=connect, read=self._seconds) as response:
            await _finish_reading(response)
            return response.status, _seconds(response.headers.get("retry-after", ""))

    def _judge(self, step: int, status: int, retry_after: float) -> DeliveryResult:
        if succeeded(status):
            return DeliveryResult("delivered", status)
        if status == _GONE:
            return DeliveryResult("disabled", status, "HTTP 410: the URL wants no more deliveries")
        why = ": redirects are not followed" if status in _REDIRECTS else ""
        return self.retry(step, status, f"HTTP {status}{why}", retry_after)

    def retry(self, step: int, status: int, error: str, at_least: float = 0) -> DeliveryResult:
        """The result of an attempt that did not succeed: another one, or the end after the last of the schedule.

        Args:
            step: which attempt of the schedule it was, from 1.
            status: the HTTP status, 0 where there was no answer.
            error: what went wrong.
            at_least: seconds to wait that were asked for.
        """
        if step > len(self._schedule):
            return DeliveryResult("failed", status, error)
        delay = self._schedule[step - 1] * random.uniform(0.8, 1.2)  # noqa: S311 -- spreads load, guards nothing
        return DeliveryResult("retry", status, error, max(delay, at_least))


async def _finish_reading(response: aiohttp.ClientResponse) -> None:
    """Read a short body to its end, so that the connection can be used again."""
    length = response.headers.get("content-length", "")
    if length.isdigit() and int(length[:9]) <= _READ_BYTES:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(_READ_SECONDS):
                async for _ in response.content.iter_any():
                    pass


def _seconds(retry_after: str) -> float:
    """Seconds that a ``Retry-After`` asks for: 0 where it cannot be read, 12 hours at most."""
    return min(pause_asked_for(retry_after) or 0.0, _MAX_WAIT)


def _reason(error: TransportError) -> str:
    match error:
        case ConnectTimeoutError():
            return f"no connection within {CONNECT_SECONDS:g} s"
        case ReadTimeoutError():
            return "no answer in time"
        case ConnectError():
            return f"no connection: {str(error)[:150] or 'refused'}"
    return f"the connection broke: {str(error)[:150] or 'no reason given'}"
