"""Outbound requests, their headers, and redirects.

A redirect from https to http is refused; one to another origin carries no body and none of the caller's own headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2

from offloop.errors import BadInput, Refused
from offloop.outbound.policy import CheckedUrl, Policy
from offloop.urls import cleaned, shown

_OURS: Final = frozenset({
    "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
_HARMLESS: Final = frozenset({"accept", "accept-language", "user-agent"})
"""Headers of a caller that another origin may see too."""
_SAFE: Final = ("GET", "HEAD")
"""Methods that another origin may be asked with because the first one says so: they change nothing there."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HOSTLESS: Final = re.compile(r"https?:(?!//[^/?#\\])|//(?![^/?#\\])")
MAX_VALUE: Final = 8192


@dataclass(frozen=True, slots=True)
class OutboundRequest:
    """One request.

    Attributes:
        url: http or https; checked by a `Policy` before it is sent.
        method: in upper case.
        headers: of the caller; those that frame a message are refused.
        content: the body; None or empty for none.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] | None = None
    content: bytes | None = None


def checked(headers: Mapping[str, str]) -> dict[str, str]:
    """Check the headers of a caller; returns them in lower case.

    Raises:
        BadInput: one cannot be sent; neither names nor values can hold characters that begin another header.
    """
    passed: dict[str, str] = {}
    for name, value in headers.items():
        shown = repr(name[:60])
        if not _TOKEN.fullmatch(name) or name.lower() in _OURS:
            message = f"The header {shown} cannot be set: it frames the message, or is no header's name. Leave it out."
            raise BadInput(message)
        if len(value) > MAX_VALUE or not all(" " <= character <= "~" or character == "\t" for character in value):
            message = f"The value of header {shown} must be at most {MAX_VALUE} printable ASCII characters."
            raise BadInput(message)
        passed[name.lower()] = value.strip()
    return passed


def next_hop(
    policy: Policy, url: CheckedUrl, request: OutboundRequest, status: int, where: str
) -> tuple[CheckedUrl, OutboundRequest]:
    """Follow a redirect; returns the next URL, and the request for it.

    Args:
        policy: checks the next URL.
        url: URL of the redirected request.
        request: the redirected request.
        status: status of its response.
        where: ``Location`` of its response.

    Raises:
        Refused: the policy, or one of the rules above, does not allow it.
    """
    try:
        target = policy.check(_target(url, cleaned(where)))
    except (Refused, httpx2.InvalidURL, ValueError) as error:
        reason = error.message if isinstance(error, Refused) else "That is not a URL."
        message = f"{url.host} redirects to {shown(where)!r}. {reason}"
        raise Refused(message) from None
    if url.scheme == "https" and target.scheme == "http":
        message = f"{url.host} redirects from https to http, to {target.host}; that is not followed."
        raise Refused(message)
    method, content, headers = request.method, request.content, dict(request.headers or {})
    changed = status == 303 or (status in (301, 302) and method == "POST")  # noqa: PLR2004 -- RFC 9110
    if changed and method != "HEAD":
        method, content = "GET", None
        headers = {name: value for name, value in headers.items() if not _is_content(name)}
    if _origin(url) != _origin(target):
        if content is not None:
            message = f"{url.host} redirects a {method} with a body to {target.host}; that is not followed."
            raise Refused(message)
        if method not in _SAFE:
            message = f"{url.host} redirects a {method} to another origin, {target.host}; only GET and HEAD follow."
            raise Refused(message)
        headers = {name: value for name, value in headers.items() if name in _HARMLESS}
    return target, OutboundRequest(str(target), method, headers, content)


def _target(url: CheckedUrl, where: str) -> str:
    """The URL that a ``Location`` names.

    Raises:
        ValueError: programs read it differently: it has a scheme or two slashes, and no host after them.
    """
    if _HOSTLESS.match(where):
        raise ValueError(where)
    return str(url.join(where))


def changes(first: OutboundRequest, last: OutboundRequest, host: str) -> tuple[str, ...]:
    """Sentences about what redirects changed in a request.

    Args:
        first: as it was asked for.
        last: as it was sent in the end.
        host: where to.
    """
    told: list[str] = []
    if first.method != last.method:
        body = ", without its body" if first.content else ""
        told.append(f"The redirect was followed with {last.method}{body}.")
    if dropped := sorted(name for name in set(first.headers or {}) - set(last.headers or {}) if not _is_content(name)):
        told.append(f"{', '.join(dropped)} did not go to {host}: headers of yours stay with the host you named.")
    return tuple(told)


def _is_content(name: str) -> bool:
    return name.startswith("content-")


def pause_asked_for(header: str) -> float | None:
    """Seconds that a ``Retry-After`` asks to wait, as a number or a date; None where it is neither."""
    text = header.strip()[:40]
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _origin(url: httpx2.URL) -> tuple[str, bytes, int | None]:
    return url.scheme, url.raw_host, url.port
