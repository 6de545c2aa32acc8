"""Outcome of a request by the status of its response: success or not, and whether the body is the file asked for.

One rule for every request: HTTP tools, references of jobs, manifests by URL, assets of documents, webhooks.

- **Success** is a 2xx; a 304 is one where the request was conditional.
- **The file** is the body of a 2xx. Exceptions: 204 and 205 have no content, a 202 that answers GET says that the file
  is not there yet, and a 206 is a part, unless a range was asked for or it is the whole.
- Redirects are followed, `MAX_REDIRECTS` at most, as browsers and curl do. One that is not followed (without a
  ``Location``, with other statuses, beyond the limit) is neither success nor a file, and so is every 4xx and 5xx.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from offloop.charsets.media import is_html
from offloop.charsets.text import excerpt
from offloop.errors import FetchFailed

MAX_REDIRECTS: Final = 20
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
"""Statuses that are followed where there is a ``Location``."""
RETRIED: Final = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may succeed."""
HEAD: Final = 2000
"""Bytes of a body that an error quotes from."""

HEAD_ASKED: Final = "HEAD asks for no content"
_EXCERPT: Final = 300
_OK: Final = range(200, 300)
NOT_MODIFIED: Final = 304
_PARTIAL: Final = 206
_CONDITIONS: Final = frozenset({"if-none-match", "if-modified-since"})
_NO_FILE: Final = {204: "it has no content", 205: "it has no content"}
_NOT_YET: Final = 202
_UNFOLLOWED: Final = {
    300: "it offers several versions and chooses none",
    304: "it says that nothing has changed, which was not asked",
    305: "it names a proxy, which is not used",
}
_WHOLE: Final = re.compile(r"bytes 0-(\d{1,18})/(\d{1,18})")
_TAGS: Final = re.compile(r"<(script|style)\b.{0,2000}?</\1\s{0,9}>|<[^<>]{0,2000}>", re.IGNORECASE | re.DOTALL)


def succeeded(status: int) -> bool:
    """Whether a status is a success."""
    return status in _OK


def fault(
    status: int, headers: Mapping[str, str], asked: Mapping[str, str], passed: Sequence[str], url: str
) -> str | None:
    """The reason why a response is no success, ``""`` where its status says all; None for a success.

    Args:
        status: of the last response.
        headers: of the last response.
        asked: headers of the request, by name in lower case.
        passed: the URLs that redirected to it.
        url: of the last response.
    """
    if succeeded(status) or (status == NOT_MODIFIED and _CONDITIONS & asked.keys()):
        return None
    if status in REDIRECTS and not headers.get("location", "").strip():
        return "it redirects, and does not say where"
    if status in REDIRECTS:
        circle = ", in a circle: it may want cookies, which are not kept" if url in passed else ""
        return f"it redirects more than {len(passed)} times{circle}"
    return _UNFOLLOWED.get(status, "")


def no_file(status: int, headers: Mapping[str, str], asked: Mapping[str, str], method: str) -> str:
    """The reason why the body of a success is not the file that was asked for; ``""`` where it is."""
    if status == NOT_MODIFIED:
        return "nothing has changed"
    if method == "HEAD":
        return HEAD_ASKED
    if status == _NOT_YET and method == "GET":
        return "the file is not there yet"
    if status == _PARTIAL and "range" not in asked:
        whole = _WHOLE.fullmatch(headers.get("content-range", "").strip())
        if not whole or int(whole[1]) + 1 != int(whole[2]):
            return "only a part came, which was not asked for"
    return _NO_FILE.get(status, "")


def quoted(head: bytes, mime_type: str, charset: str) -> str:
    """The beginning of a body for a message, on one line and without tags."""
    text = excerpt(head, mime_type, charset)
    if is_html(mime_type):
        text = _TAGS.sub(" ", text)
    return " ".join(text.split())[:_EXCERPT]


def refusal(status: int, url: str, why: str, retry_after: str = "") -> FetchFailed:
    """The error for a response that is no success, or not the file: ``HTTP 503 from host: …``."""
    hint = f" It asks to wait: Retry-After {retry_after[:40]}." if retry_after else ""
    message = f"HTTP {status} from {url.split('/')[2]}: {why or 'no text'}{hint}"
    return FetchFailed(message, code="http_error", retryable=status in RETRIED or status == _NOT_YET)
