"""The composition root of the front end: what is opened, in which order, and what answers which path."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcp.server.transport_security import TransportSecurityMiddleware
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
)
from starlette.requests import Request
from starlette.routing import Route

import offloop
from offloop import logs
from offloop.artifacts.links import Links, shared_key
from offloop.artifacts.quota import Quota
from offloop.artifacts.store import ArtifactStore
from offloop.errors import OffloopError, SettingsError
from offloop.queue.batches import Batches
from offloop.queue.client import Bounds, JobQueue
from offloop.queue.record import Progress
from offloop.redis.connection import connect, connect_blocking
from offloop.redis.outage import answering
from offloop.webhooks.deliveries import Webhooks
from offloop_server.io.gather import gather_tools
from offloop_server.io.http.client import Fetcher
from offloop_server.io.http.tools import http_tools
from offloop_server.io.sql.databases import Databases
from offloop_server.io.sql.queries import Queries
from offloop_server.io.sql.tools import sql_tools
from offloop_server.resources.artifacts import Resources
from offloop_server.resources.jobs import JobResources
from offloop_server.resources.prompts import Prompts
from offloop_server.resources.subscriptions import Listening, ListeningServer
from offloop_server.runtime.background import Background
from offloop_server.runtime.loop_monitor import Watchdog
from offloop_server.runtime.threads import Threads
from offloop_server.runtime.tuning import drop_unseen_traces
from offloop_server.toolkit.answers import refusal
from offloop_server.toolkit.families import Families
from offloop_server.toolkit.job_tool import AnyTool, Caller, HeavyTool, Services, toolbox
from offloop_server.tools.artifacts import CreateUpload, DeleteArtifact, ReadArtifact
from offloop_server.tools.batch import batch_tools
from offloop_server.tools.functions import light_functions
from offloop_server.tools.jobs import CancelJob, JobStatus, ListJobs, WaitForJobs
from offloop_server.tools.previews import Previews
from offloop_server.tools.webhooks import ListDeliveries, ReplayDelivery, RotateWebhookSecret
from offloop_server.waiting.calls import Calls
from offloop_server.waiting.inbox import Inbox
from offloop_server.web.auth import SCOPE_KEY, Principals, check_binding
from offloop_server.web.endpoint import MAX_BODY, Endpoint, transport_security
from offloop_server.web.files import Files
from offloop_server.web.health import Health, Metrics
from offloop_server.web.uploads import sweep

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from starlette.types import ASGIApp

    from offloop.kinds.catalogue import Catalogue
    from offloop.settings import Settings

INSTRUCTIONS: Final = """\
Heavy work (PDF, images, hashing, and whatever jobs this server adds) runs in background workers.
1. Call a tool; most answers come within wait_seconds (default 20).
2. An answer with state queued or running is not an error: call job_status(job_id, wait_seconds=20) until the state is
   completed, failed or cancelled. For several jobs: start each with wait_seconds=0, then wait_for_jobs;
   for many inputs of one tool: run_batch.
3. Files go in as references: artifact:<id>, data:<type>;base64,… (small), or root:<name>/<path> where the server has
   roots. create_upload gives a URL for larger files. Files come out as artifacts: give the user the download_url, or
   pass artifact:<id> to the next tool.
4. A failed answer says what to change. The same idempotency_key never starts a job twice."""

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class _Running:
    """What exists while the front end serves."""

    tools: Mapping[str, AnyTool]
    listed: ListToolsResult
    schemas: Mapping[str, Mapping[str, Any]]
    key: bytes
    inbox: Inbox
    listening: Listening
    background: Background
    threads: Threads
    watchdog: Watchdog


class FrontEnd:
    """One front end; any number of them may share a Redis.

    Args:
        settings: how.
        kinds: the jobs it offers.
    """

    def __init__(self, settings: Settings, kinds: Catalogue) -> None:
        """Check the settings; nothing is opened yet.

        Raises:
            SettingsError: they would not work, or not safely.
        """
        if settings.redis_url is None:
            message = "OFFLOOP_REDIS_URL is not set: give it, or run `offloop up`, which brings its own server."
            raise SettingsError(message)
        self._settings = settings
        self._kinds = kinds
        self._principals = Principals.load(settings)
        check_binding(settings, self._principals)
        # A shorter patience than the workers': a caller waits, and is told to try again.
        self._redis = connect(settings.redis_url, retries=3)
        self._blocking = connect_blocking(settings.redis_url)
        self._store = ArtifactStore(
            settings.artifacts_location,
            self._redis,
            retention_seconds=settings.retention_seconds,
            quota=Quota.of(settings),
        )
        self._families = Families(settings.families)
        self._bounds = Bounds(settings.retention_seconds, settings.max_queued, settings.max_queued_per_principal)
        jobs = JobResources(JobQueue(self._redis, self._bounds), self._redis)
        resources = Resources(self._store, jobs, self._links)
        self._offered = {name: kind for name, kind in kinds.items() if self._families.offers(kind)}
        prompts = Prompts(self._offered, resources.ids)
        self._running: _Running | None = None
        self.server = ListeningServer(
            "offloop",
            version=offloop.__version__,
            title="offloop",
            instructions=INSTRUCTIONS,
            lifespan=self._lifespan,
            get_tool_input_schema=self._input_schema,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=resources.listed,
            on_list_resource_templates=resources.templates,
            on_read_resource=resources.read,
            on_subscriptions_listen=self._listen,
            on_list_prompts=prompts.listed,
            on_get_prompt=prompts.get,
            on_completion=prompts.complete,
        )

    def app(self) -> ASGIApp:
        """The ASGI application."""
        health = Health(self._redis, self._kinds.queues, self._vitals)
        others = self.server.streamable_http_app(
            stateless_http=True,
            json_response=False,
            max_request_body_size=MAX_BODY,
            transport_security=transport_security(self._settings),
            custom_starlette_routes=[
                Route("/files", self._add_file, methods=["POST"]),
                Route("/files/{artifact_id}", self._files, methods=["GET", "PUT"]),
                Route("/healthz", health.alive),
                Route("/readyz", health.ready),
            ],
        )
        return Endpoint(self.server.session_manager.handle_request, others, self._principals)

    @asynccontextmanager
    async def _lifespan(self, _server: object) -> AsyncIterator[None]:
        front_end = secrets.token_hex(8)
        settings = self._settings
        queue = JobQueue(self._redis, self._bounds, front_end=front_end)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._redis.aclose, close_connection_pool=True)
            await asyncio.to_thread(sweep)
            drop_unseen_traces(self.server)
            fetcher = await stack.enter_async_context(Fetcher(settings))  # closed after the background has drained
            databases = await stack.enter_async_context(Databases(settings))
            background = await stack.enter_async_context(Background(settings.drain_seconds))
            inbox = await stack.enter_async_context(Inbox(self._blocking, queue, front_end, background))
            threads = Threads(settings.tool_threads, background)
            webhooks = Webhooks(self._redis)
            services = Services(settings, self._redis, self._store, Calls(queue, inbox, background))
            queries = Queries(databases, self._store)
            tools: list[AnyTool] = [HeavyTool(kind, services) for kind in self._kinds.values()]
            tools += [
                JobStatus(services),
                WaitForJobs(services),
                ListJobs(services, queue),
                CancelJob(services),
                *batch_tools(services, Batches(self._redis, self._bounds, front_end=front_end), self._offered),
                CreateUpload(services),
                ReadArtifact(services, Previews(services, self._kinds)),
                DeleteArtifact(services),
                *http_tools(services, fetcher),
                *sql_tools(services, queries),
                *gather_tools(services, fetcher, queries),
                ListDeliveries(services, webhooks),
                ReplayDelivery(services, webhooks),
                RotateWebhookSecret(services, webhooks),
                *light_functions(self._kinds.tools, services, threads),
            ]
            tools = self._families.offered(tools)
            if settings.families and (empty := self._families.empty(tools)):
                log.warning("families without a tool: what they need is not configured", families=empty)
            async with answering():
                key = await shared_key(self._redis)
            listed = ListToolsResult(tools=[tool.describe() for tool in tools])
            schemas = {tool.name: tool.input_schema for tool in listed.tools if _routed_by(tool.input_schema)}
            listening = Listening(queue, inbox)
            watchdog = await stack.enter_async_context(Watchdog())  # what was long until here kept nobody waiting
            self._running = _Running(
                toolbox(tools), listed, schemas, key, inbox, listening, background, threads, watchdog
            )
            log.info("front end ready", kinds=list(self._kinds), keys=self._principals.required)
            yield

    def stop_waiting(self) -> None:
        """End all waits: open calls are answered with their jobs as they are. The first step of an orderly stop."""
        if self._running:
            self._running.inbox.stop_waiting()

    def _vitals(self) -> Metrics:
        running = self._serving()
        return Metrics(running.watchdog.lag, running.background.counts, running.threads)

    def _serving(self) -> _Running:
        if self._running is None:
            message = "the front end has not started"
            raise RuntimeError(message)
        return self._running

    async def _list_tools(
        self, _context: ServerRequestContext[Any], _params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return self._serving().listed

    def _input_schema(self, name: str) -> Mapping[str, Any] | None:
        """What the SDK checks routing headers against, where there are some; without this it would list all tools."""
        return self._serving().schemas.get(name)

    async def _call_tool(self, context: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        tool = self._serving().tools.get(params.name)
        if tool is None:
            message = f"There is no tool {params.name[:80]!r}; tools/list shows the tools there are."
            raise MCPError(INVALID_PARAMS, message)
        request = context.request
        if not isinstance(request, Request):
            message = "offloop serves HTTP only"
            raise TypeError(message)

        async def relay(progress: Progress) -> None:
            await context.session.report_progress(progress.done, progress.total, progress.message or None)

        caller = Caller(request.scope[SCOPE_KEY], self._links(request), relay)
        try:
            return await tool.call(params.arguments or {}, caller)
        except OffloopError as error:
            return refusal(error.message)
        except Exception:
            log.exception("tool failed", tool=params.name, principal=caller.principal)
            return refusal(f"{params.name} failed inside the server; the operator's log has the reason. Try again.")

    async def _listen(
        self, context: ServerRequestContext[Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        return await self._serving().listening(context, params)

    async def _files(self, request: Request) -> Any:
        return await self._routes(request).handle(request)

    async def _add_file(self, request: Request) -> Any:
        # A page in a browser can post a form to any address: where there are no keys, only these headers tell.
        refused = await TransportSecurityMiddleware(transport_security(self._settings)).validate_request(request)
        return refused or await self._routes(request).add(request, request.scope[SCOPE_KEY])

    def _routes(self, request: Request) -> Files:
        return Files(self._store, self._links(request), self._settings.max_upload_mb << 20)

    def _links(self, request: Request) -> Links:
        return Links(self._serving().key, self._settings.public_url or (lambda: str(request.base_url)))


def _routed_by(schema: Mapping[str, Any]) -> bool:
    """Whether a tool's schema names headers that repeat arguments; few do, and the SDK would look at each call."""
    return "x-mcp-header" in json.dumps(schema)
