"""Pages that send browsers on with ``<meta http-equiv=refresh>``: redirects, by the rules of redirects."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from offloop.errors import OffloopError
from offloop.outbound.fetch import OutboundResponse
from offloop.outbound.policy import Policy
from offloop.outbound.redirects import OutboundRequest, changes, checked, next_hop
from offloop_server.io.http.pages import Page

MAX_REFRESHES: Final = 5
"""Pages that are followed, one after the other."""
_SOON: Final = 5.0
"""Seconds of delay up to which a refresh is followed."""


def followed(request: OutboundRequest, response: OutboundResponse, page: Page) -> str:
    """The target of a refresh that is followed, or ""; a page that loads itself again is not followed."""
    if not page.refresh or request.method != "GET" or response.failed:
        return ""
    seconds, target = page.refresh
    known = {_bare(url) for url in (*response.redirects, response.url)}
    return target if seconds <= _SOON and _bare(target) not in known else ""


def hop(policy: Policy, request: OutboundRequest, response: OutboundResponse, target: str) -> OutboundRequest:
    """The request that follows: what another origin may not see is dropped, as by the redirects before.

    Raises:
        Refused: the policy, or a rule of redirects, does not allow it.
    """
    request = replace(request, headers=checked(request.headers or {}))
    for url in (*response.redirects[1:], response.url, target):
        _, request = next_hop(policy, policy.check(request.url), request, 302, url)
    return request


def joined(
    before: OutboundResponse, after: OutboundResponse, first: OutboundRequest, last: OutboundRequest
) -> OutboundResponse:
    """The response that was sent on to, with the way to it, and with what changed in the request."""
    told = changes(replace(first, headers=checked(first.headers or {})), last, after.host)
    return replace(
        after,
        changes=tuple(dict.fromkeys((*told, *after.changes))),
        redirects=(*before.redirects, before.url, *after.redirects),
        seconds=before.seconds + after.seconds,
        waited=before.waited + after.waited,
        attempts=before.attempts + after.attempts - 1,
    )


def stays(page: Page, target: str, error: OffloopError) -> Page:
    """A page whose refresh could not be followed."""
    note = f"The page sends browsers to {target[:300]}, which cannot be shown: {error.message}"
    return replace(page, notes=(*page.notes, note), refresh=None)


def noted(page: Page, response: OutboundResponse) -> Page:
    """A page, with a note where it sends on and was not followed."""
    if not page.refresh or _bare(page.refresh[1]) == _bare(response.url):
        return page
    seconds, target = page.refresh
    return replace(page, notes=(*page.notes, f"The page sends browsers to {target[:300]} after {seconds:g} s."))


def _bare(url: str) -> str:
    return url.partition("#")[0]
