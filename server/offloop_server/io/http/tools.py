"""http_get, call_api and bulk_fetch; listed where the operator has named hosts that may be asked."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, Literal

from mcp_types import CallToolResult
from pydantic import BeforeValidator, Field

from offloop.errors import BadInput
from offloop.kinds.kind import Model
from offloop.outbound.policy import MAX_URL
from offloop.outbound.redirects import OutboundRequest
from offloop_server.io.http.answers import BulkAnswer, HttpAnswer, result, results
from offloop_server.io.http.bulk import bulk
from offloop_server.io.http.client import Fetcher
from offloop_server.io.http.request import HttpRequests, Rendering, check_headers
from offloop_server.io.http.retries import RetryPolicy
from offloop_server.toolkit import json_text
from offloop_server.toolkit.light_tool import LightTool, ModelT
from offloop_server.toolkit.services import AnyTool, Caller, Services

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
MAX_TEXT = 2_000_000
"""Characters of one bulk answer."""

Url = Annotated[str, Field(min_length=1, max_length=MAX_URL, examples=["https://example.org/data.json"])]
Headers = Annotated[dict[str, Annotated[str, Field(max_length=8192)]], Field(max_length=50)]
Extract = Literal["auto", "markdown", "text", "json", "raw"]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Retries = Annotated[int, Field(ge=0, le=5)]

_HEADERS = "Such as Accept, Authorization, If-None-Match, or any X- header; dropped when a redirect leaves the host."
_EXTRACT = (
    "auto: JSON parsed, pages as Markdown, other text as it is. markdown or text: the readable part of a page. "
    "json: parsed, an error where it is none. raw: the source."
)
_SECONDS = "For everything but waiting for other requests, retries included; the server sets the default and the most."


def _unquoted(value: Any) -> Any:
    """The list or object that a client sends as JSON text; the text itself can be sent as `body`."""
    return json_text.parsed(value) if isinstance(value, str) else value


class HttpGetArguments(Model):
    """Arguments of http_get."""

    url: Url
    method: Literal["GET", "HEAD"] = "GET"
    headers: Headers = Field(default_factory=dict, description=_HEADERS)
    extract: Extract = Field("auto", description=_EXTRACT)
    offset: Annotated[int, Field(ge=0)] = Field(0, description="Character to begin at: next_offset of the last part.")
    max_chars: Annotated[int, Field(ge=1, le=200_000)] = Field(20_000, description="Most characters to show.")
    save: bool = Field(default=False, description="Keep the body as an artifact instead of showing it.")
    etag: Annotated[str, Field(max_length=1000)] | None = Field(
        None, description="From the headers of an earlier answer: 304 and no body where nothing has changed since."
    )
    if_modified_since: Annotated[str, Field(max_length=100)] | None = Field(
        None, description="The same by time: Last-Modified of an earlier answer."
    )
    timeout_seconds: Seconds | None = Field(None, description=_SECONDS)
    retries: Retries = Field(2, description="After a broken connection, a timeout, or status 429, 502, 503, 504.")
    max_bytes: Annotated[int, Field(ge=1)] | None = Field(None, description="Largest body, unpacked.")


class CallApiArguments(Model):
    """Arguments of call_api."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    url: Url
    headers: Headers = Field(default_factory=dict, description=_HEADERS)
    json_body: Annotated[Any, BeforeValidator(_unquoted)] = Field(
        None, alias="json", description="Sent as application/json."
    )
    body: Annotated[str, Field(max_length=2 << 20)] | None = Field(
        None, description="Sent as it is instead; name its Content-Type in headers."
    )
    extract: Extract = Field("auto", description=_EXTRACT)
    max_chars: Annotated[int, Field(ge=1, le=200_000)] = Field(20_000, description="Most characters to show.")
    save: bool = Field(default=False, description="Keep the body as an artifact instead of showing it.")
    timeout_seconds: Seconds | None = Field(None, description=_SECONDS)
    retries: Retries = Field(2, description="Only for methods that may be repeated: never POST or PATCH.")


class BulkFetchArguments(Model):
    """Arguments of bulk_fetch."""

    urls: Annotated[list[Url], Field(min_length=1, max_length=500)] = Field(description="1 to 500; equal ones once.")
    headers: Headers = Field(default_factory=dict, description="Sent to every host. " + _HEADERS)
    extract: Extract = Field("auto", description=_EXTRACT)
    max_chars: Annotated[int, Field(ge=1, le=50_000)] = Field(2000, description="Most characters to show of each.")
    save: bool = Field(default=False, description="Keep each body as an artifact instead of showing it.")
    timeout_seconds: Seconds | None = Field(None, description="For each. " + _SECONDS)
    retries: Retries = 1
    deadline_seconds: Annotated[float, Field(gt=0, le=600)] = Field(
        50, description="For all; what is not finished by then is answered as such, the others as they are."
    )


class _HttpTool(LightTool[ModelT]):
    """A tool that sends outbound requests."""

    family = "http"
    open_world = True

    def __init__(self, services: Services, fetcher: Fetcher) -> None:
        super().__init__(services)
        self._fetcher = fetcher
        self._requests = HttpRequests(fetcher, services.store)


class HttpGet(_HttpTool[HttpGetArguments]):
    """http_get."""

    name = "http_get"
    description = (
        "Fetch a URL: JSON parsed, pages as Markdown, long texts in parts, any file as an artifact (save=true). "
        "Redirects are followed and listed."
    )
    arguments = HttpGetArguments
    answers = HttpAnswer

    async def do(self, value: HttpGetArguments, caller: Caller) -> CallToolResult:
        """Fetch and read."""
        headers = dict(value.headers)
        if value.etag:
            headers["If-None-Match"] = value.etag
        if value.if_modified_since:
            headers["If-Modified-Since"] = value.if_modified_since
        answer, page = await self._requests.send(
            OutboundRequest(value.url, value.method, headers),
            RetryPolicy(value.timeout_seconds, value.retries, value.max_bytes),
            Rendering(value.extract, value.offset, value.max_chars, value.save),
            caller,
        )
        return result(answer, page)


class CallApi(_HttpTool[CallApiArguments]):
    """call_api."""

    name = "call_api"
    description = "Call an HTTP API with any method, headers and a JSON body; an error's status is an error here."
    arguments = CallApiArguments
    answers = HttpAnswer
    read_only = False
    destructive = True
    idempotent = False

    async def do(self, value: CallApiArguments, caller: Caller) -> CallToolResult:
        """Send and read."""
        headers, content = dict(value.headers), None
        if _sends_json(value):
            if value.body is not None:
                message = "call_api takes json or body, not both; leave one out."
                raise BadInput(message)
            content = _as_json(value.json_body)
            if "content-type" not in (name.lower() for name in headers):
                headers["Content-Type"] = "application/json"
        elif value.body is not None:
            content = value.body.encode()
        answer, page = await self._requests.send(
            OutboundRequest(value.url, value.method, headers, content),
            RetryPolicy(value.timeout_seconds, value.retries),
            Rendering(value.extract, 0, value.max_chars, value.save),
            caller,
        )
        return result(answer, page)


class BulkFetch(_HttpTool[BulkFetchArguments]):
    """bulk_fetch."""

    name = "bulk_fetch"
    description = (
        "Fetch up to 500 URLs in one call, a few from each host concurrently; answers each in the order of urls, with "
        "what succeeded and what did not."
    )
    arguments = BulkFetchArguments
    answers = BulkAnswer

    async def do(self, value: BulkFetchArguments, caller: Caller) -> CallToolResult:
        if len(value.urls) * value.max_chars > MAX_TEXT:
            most = MAX_TEXT // len(value.urls)
            message = f"bulk_fetch was not run: with {len(value.urls)} urls, max_chars may be at most {most}."
            raise BadInput(message)
        retry = RetryPolicy(value.timeout_seconds, value.retries)
        rendering = Rendering(value.extract, 0, value.max_chars, value.save)

        async def one(url: str) -> HttpAnswer:
            return (await self._requests.send(OutboundRequest(url, headers=value.headers), retry, rendering, caller))[0]

        # An argument that is wrong for all URLs is one error, not one for each.
        check_headers(OutboundRequest("", headers=value.headers))
        self._fetcher.limits(retry)
        answer = results(await bulk(value.urls, one, self._fetcher, value.deadline_seconds))
        await asyncio.sleep(0)  # formatting hundreds of answers takes as long as sending them
        return answer


def _sends_json(value: CallApiArguments) -> bool:
    """Whether there is JSON to send; ``null`` beside ``body``, or in a request without a body, counts as left out."""
    if value.json_body is None and (value.method not in _WITH_BODY or "body" in value.model_fields_set):
        return False
    return "json_body" in value.model_fields_set


def _as_json(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        message = (
            "json cannot be sent: it has NaN or an infinite number, half of a surrogate pair, or too many levels. "
            "Replace these, or send the text itself as body."
        )
        raise BadInput(message) from None


def http_tools(services: Services, fetcher: Fetcher) -> list[AnyTool]:
    """The tools, where any host may be asked."""
    if not fetcher.policy.enabled:
        return []
    return [HttpGet(services, fetcher), CallApi(services, fetcher), BulkFetch(services, fetcher)]
