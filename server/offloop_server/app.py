"""The composition root of the front end: connections, services, tools, MCP handlers and routes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecurityMiddleware
from mcp_types import (
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
from offloop.errors import SettingsError
from offloop.queue.batches import Batches
from offloop.queue.client import Bounds, JobQueue
from offloop.queue.record import Progress
from offloop.redis.connection import connect, connect_blocking
from offloop.redis.outage import answering
from offloop_server.io.tools import io_tools
from offloop_server.resources.artifacts import Resources
from offloop_server.resources.jobs import JobResources
from offloop_server.resources.prompts import Prompts
from offloop_server.resources.subscriptions import Listening, ListeningServer
from offloop_server.runtime.background import Background
from offloop_server.runtime.loop_monitor import Watchdog
from offloop_server.runtime.threads import Threads
from offloop_server.runtime.tuning import collect_when_quiet, drop_unseen_traces
from offloop_server.toolkit import job_tool
from offloop_server.toolkit.families import Families
from offloop_server.toolkit.services import Caller, Services, ToolFactory
from offloop_server.toolkit.toolbox import Toolbox
from offloop_server.tools import artifacts, batch, functions, jobs, webhooks
from offloop_server.waiting.calls import Calls
from offloop_server.waiting.inbox import Inbox
from offloop_server.web import direct
from offloop_server.web.auth import SCOPE_KEY, Principals, check_binding
from offloop_server.web.direct import Direct
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
    """State between start-up and shutdown."""

    toolbox: Toolbox
    links_key: bytes
    inbox: Inbox
    listening: Listening
    metrics: Metrics
    streams: Background


class FrontEnd:
    """One front end; any number of them may share a Redis.

    Args:
        settings: the configuration.
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
        # Fewer retries than a worker: a caller waits, and its answer says to try again.
        self._redis = connect(settings.redis_url, retries=3)
        self._blocking = connect_blocking(settings.redis_url)
        self._bounds = Bounds(settings.retention_seconds, settings.max_queued, settings.max_queued_per_principal)
        self._store = ArtifactStore(
            settings.artifacts_location,
            self._redis,
            retention_seconds=settings.retention_seconds,
            quota=Quota.of(settings),
        )
        self._families = Families(settings.families)
        self._offered = {name: kind for name, kind in kinds.items() if self._families.offers(kind)}
        self._running: _Running | None = None
        self.server = self._mcp_server(self._lifespan)
        self._direct = StreamableHTTPSessionManager(
            self._mcp_server(_no_lifespan),
            json_response=True,
            stateless=True,
            security_settings=transport_security(settings),
            max_request_body_size=MAX_BODY,
        )

    def _mcp_server(self, lifespan: Callable[[Any], AbstractAsyncContextManager[None]]) -> ListeningServer:
        jobs = JobResources(JobQueue(self._redis, self._bounds), self._redis)
        resources = Resources(self._store, jobs, self._links)
        prompts = Prompts(self._offered, resources.ids)
        return ListeningServer(
            "offloop",
            version=offloop.__version__,
            title="offloop",
            instructions=INSTRUCTIONS,
            lifespan=lifespan,
            get_tool_input_schema=self._routed_schema,
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
        health = Health(self._redis, self._kinds.queues, lambda: self._serving().metrics)
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
        calls = Direct(self._direct.handle_request, self.server.session_manager.handle_request, self._spawn_stream)
        return Endpoint(calls, others, self._principals)

    @asynccontextmanager
    async def _lifespan(self, _server: object) -> AsyncIterator[None]:
        front_end = secrets.token_hex(8)
        queue = JobQueue(self._redis, self._bounds, front_end=front_end)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._redis.aclose, close_connection_pool=True)
            await asyncio.to_thread(sweep)
            for server in (self.server, self._direct.app):
                drop_unseen_traces(server)
            io = await stack.enter_async_context(io_tools(self._settings, self._store))
            background = await stack.enter_async_context(Background(self._settings.drain_seconds))
            inbox = await stack.enter_async_context(Inbox(self._blocking, queue, front_end, background))
            _ = background.start(collect_when_quiet(), name="collect-garbage")
            threads = Threads(self._settings.tool_threads, background)
            services = Services(
                settings=self._settings,
                redis=self._redis,
                store=self._store,
                queue=queue,
                batches=Batches(self._redis, self._bounds, front_end=front_end),
                calls=Calls(queue, inbox, background),
                threads=threads,
                kinds=self._kinds,
                offered=self._offered,
            )
            toolbox = self._toolbox(services, io)
            async with answering():
                key = await shared_key(self._redis)
            streams = await stack.enter_async_context(Background(self._settings.drain_seconds))
            await stack.enter_async_context(self._direct.run())
            watchdog = await stack.enter_async_context(Watchdog())  # last: start-up may block, no call waits for it
            metrics = Metrics(watchdog.lag, background, threads)
            self._running = _Running(toolbox, key, inbox, Listening(queue, inbox), metrics, streams)
            log.info("front end ready", kinds=list(self._kinds), keys=self._principals.required)
            yield

    def _toolbox(self, services: Services, io: ToolFactory) -> Toolbox:
        factories = (
            *(job_tool.tools, jobs.tools, batch.tools, artifacts.tools),
            *(io, webhooks.tools, functions.tools),
        )
        tools = self._families.offered(tool for tools in factories for tool in tools(services))
        if self._settings.families and (empty := self._families.empty(tools)):
            log.warning("families without a tool: what they need is not configured", families=empty)
        return Toolbox(tools)

    def stop_waiting(self) -> None:
        """End all waits: open calls are answered with their jobs as they are. The first step of a graceful shutdown."""
        if self._running:
            self._running.inbox.stop_waiting()

    def _serving(self) -> _Running:
        if self._running is None:
            message = "the front end has not started"
            raise RuntimeError(message)
        return self._running

    def _routed_schema(self, name: str) -> Mapping[str, Any] | None:
        return self._serving().toolbox.routed_schema(name)

    async def _list_tools(
        self, _context: ServerRequestContext[Any], _params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return self._serving().toolbox.listed

    async def _call_tool(self, context: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        request = context.request
        if not isinstance(request, Request):
            message = "offloop serves HTTP only"
            raise TypeError(message)

        async def relay(progress: Progress) -> None:
            await context.session.report_progress(progress.done, progress.total, progress.message or None)

        caller = Caller(request.scope[SCOPE_KEY], self._links(request), relay)
        tool = partial(self._serving().toolbox.call, params.name, params.arguments or {}, caller)
        return await direct.run(request.scope, tool)

    async def _listen(
        self, context: ServerRequestContext[Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        return await self._serving().listening(context, params)

    async def _files(self, request: Request) -> Any:
        return await self._routes(request).handle(request)

    async def _add_file(self, request: Request) -> Any:
        # Without API keys, only the Host and Origin headers tell a foreign page's form post from a client's request.
        refused = await TransportSecurityMiddleware(transport_security(self._settings)).validate_request(request)
        return refused or await self._routes(request).add(request, request.scope[SCOPE_KEY])

    def _spawn_stream(self, stream: Coroutine[Any, Any, None]) -> None:
        self._serving().streams.spawn(stream, name="stream of a call")

    def _routes(self, request: Request) -> Files:
        return Files(self._store, self._links(request), self._settings.max_upload_mb << 20)

    def _links(self, request: Request) -> Links:
        return Links(self._serving().links_key, self._settings.public_url or (lambda: str(request.base_url)))


@asynccontextmanager
async def _no_lifespan(_server: object) -> AsyncIterator[None]:
    """The lifespan of the server that answers directly: the other one's is for both."""
    yield
