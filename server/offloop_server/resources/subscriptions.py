"""``subscriptions/listen``: notifications that jobs of the caller have changed.

A listener neither keeps a job alive nor ends it by leaving. A notification carries only the URI of the job, so a slow
reader misses nothing: changes of one job coalesce into a notification of its newest record.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY, ResourceUpdated, event_to_notification
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    ServerCapabilities,
    ServerNotification,
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsAcknowledgedNotificationParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
)

from offloop.errors import NotFound
from offloop_server.resources.artifacts import principal_of, protocol_errors
from offloop_server.resources.jobs import JOB_URI, id_in

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

    from offloop.queue.client import JobQueue
    from offloop.queue.record import Record
    from offloop_server.waiting.inbox import Inbox, Watch

MAX_URIS: Final = 100
"""URIs in one request."""
MAX_PER_PRINCIPAL: Final = 16
"""Open requests of one principal at a front end."""
MAX_OPEN: Final = 256
"""Open requests at a front end."""
MAX_SECONDS: Final = 3600.0
"""Lifetime of a request; it ends with a result, and the client may listen again."""

_Send = Callable[[ServerNotification], Awaitable[None]]


class Listening:
    """The handler; one per front end.

    Args:
        queue: reads jobs, and requests pushes of their changes.
        inbox: receives the pushes.
    """

    def __init__(self, queue: JobQueue, inbox: Inbox) -> None:
        self._queue = queue
        self._inbox = inbox
        self._open: Counter[str] = Counter()

    async def __call__(
        self, context: ServerRequestContext[Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Acknowledge the caller's own jobs, notify of each now and on every change, until all have ended.

        Raises:
            MCPError: too many URIs, too many open requests, or Redis does not answer.
        """
        request_id = context.request_id
        if request_id is None:
            message = "subscriptions/listen is a request: send it with an id."
            raise MCPError(INVALID_REQUEST, message)
        meta = {SUBSCRIPTION_ID_META_KEY: request_id}

        async def send(notification: ServerNotification) -> None:
            await context.session.send_notification(notification, related_request_id=request_id)

        principal = principal_of(context)
        uris = _requested(params.notifications)
        with self._counted(principal):
            async with AsyncExitStack() as stack:
                async with protocol_errors():
                    changed = asyncio.Event()
                    watches = await self._watch(uris, principal, changed, stack)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(MAX_SECONDS):
                        await send(_acknowledged([*watches], meta))
                        await _send_changes(watches, changed, send, meta)
        return SubscriptionsListenResult(_meta=meta)

    @contextmanager
    def _counted(self, principal: str) -> Iterator[None]:
        if self._open[principal] >= MAX_PER_PRINCIPAL:
            message = (
                f"You listen {MAX_PER_PRINCIPAL} times already, the most there may be: end one, or name more jobs in "
                f"each (up to {MAX_URIS})."
            )
            raise MCPError(INTERNAL_ERROR, message)
        if self._open.total() >= MAX_OPEN:
            message = (
                f"{MAX_OPEN} clients listen to this server, the most there may be: try again later, or wait with "
                "job_status or wait_for_jobs."
            )
            raise MCPError(INTERNAL_ERROR, message)
        self._open[principal] += 1
        try:
            yield
        finally:
            self._open[principal] -= 1
            self._open += Counter()  # drops principals without open requests

    async def _watch(
        self, uris: list[str], principal: str, changed: asyncio.Event, stack: AsyncExitStack
    ) -> dict[str, Watch]:
        """Watch the URIs that name jobs of the principal, until the stack closes."""
        watches: dict[str, Watch] = {}
        for uri in uris:
            job_id = id_in(uri, JOB_URI)
            if job_id is None:
                continue
            with contextlib.suppress(NotFound):
                async with AsyncExitStack() as opened:
                    watch = await opened.enter_async_context(self._inbox.watch(job_id, principal, changed))
                    watch.see(await self._queue.get(job_id, principal=principal, wait=True, begin=True))
                    watches[uri] = watch
                    stack.push_async_exit(opened.pop_all())
        return watches


class ListeningServer(Server[Any]):
    """The SDK's server with corrected capabilities: resources change, the lists of everything do not."""

    def get_capabilities(self, *args: Any, **options: Any) -> ServerCapabilities:
        """The capabilities, for clients of that protocol version."""
        found = super().get_capabilities(*args, **options)
        for one in (found.tools, found.prompts, found.resources):
            if one:
                one.list_changed = False
        return found


def _requested(wanted: SubscriptionFilter) -> list[str]:
    """The requested URIs without duplicates.

    Raises:
        MCPError: too many URIs.
    """
    uris = wanted.resource_subscriptions or []
    if len(uris) > MAX_URIS:
        message = (
            f"resourceSubscriptions has {len(uris)} URIs, and {MAX_URIS} may be listened to in one request: "
            "listen to the others in another."
        )
        raise MCPError(INVALID_PARAMS, message)
    return list(dict.fromkeys(uris))


def _acknowledged(uris: list[str], meta: dict[str, Any]) -> SubscriptionsAcknowledgedNotification:
    honored = SubscriptionFilter(resource_subscriptions=uris or None)
    return SubscriptionsAcknowledgedNotification(
        params=SubscriptionsAcknowledgedNotificationParams(notifications=honored, _meta=meta)
    )


async def _send_changes(watches: dict[str, Watch], changed: asyncio.Event, send: _Send, meta: dict[str, Any]) -> None:
    """Notify of each job once, then of its changes, until all have ended or the front end stops."""
    sent: dict[str, Record | None] = {}
    while True:
        changed.clear()  # before the scan: a change during a send is found by the next scan
        for uri, watch in watches.items():
            now = None if watch.lost else watch.record
            if uri not in sent or sent[uri] is not now:
                sent[uri] = now
                await send(event_to_notification(ResourceUpdated(uri), meta))
        if all(record is None or record.state.terminal for record in sent.values()):
            return
        if any(watch.over for watch in watches.values()):
            return
        await changed.wait()
