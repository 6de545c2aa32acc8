"""The seam of tools: the interface of a tool, the caller of one call, and the services that tools share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mcp_types import CallToolResult, Tool

from offloop.kinds.options import Family

if TYPE_CHECKING:
    from offloop.artifacts.links import Links
    from offloop.artifacts.store import ArtifactStore
    from offloop.kinds.catalogue import Catalogue
    from offloop.kinds.kind import Kind
    from offloop.queue.batches import Batches
    from offloop.queue.client import JobQueue
    from offloop.queue.record import Progress
    from offloop.redis import RedisClient
    from offloop.settings import Settings
    from offloop_server.runtime.threads import Threads
    from offloop_server.waiting.calls import Calls


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a tool, reachable while the call lasts.

    Attributes:
        principal: the owner of whatever the call makes.
        links: makes links under the address that the caller used.
        relay: sends progress to the caller, if progress was requested.
    """

    principal: str
    links: Links
    relay: Callable[[Progress], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Services that the tools of a front end share.

    Attributes:
        settings: the configuration.
        redis: the connection for commands.
        store: the artifacts.
        queue: the jobs.
        batches: accepts batches.
        calls: submits jobs and waits for them.
        threads: run functions that block.
        kinds: every kind and declared light tool of this process.
        offered: the kinds whose tools are listed, by name.
    """

    settings: Settings
    redis: RedisClient
    store: ArtifactStore
    queue: JobQueue
    batches: Batches
    calls: Calls
    threads: Threads
    kinds: Catalogue
    offered: Mapping[str, Kind[Any, Any]]


class AnyTool(Protocol):
    """The interface of a tool."""

    @property
    def name(self) -> str:
        pass

    @property
    def family(self) -> Family | None:
        pass

    def describe(self) -> Tool:
        """The tool's entry in ``tools/list``."""

    async def call(self, arguments: dict[str, Any], caller: Caller) -> CallToolResult:
        """Run the tool.

        Raises:
            OffloopError: the call is refused; the message is for the caller.
        """


ToolFactory = Callable[[Services], list[AnyTool]]
"""Makes the tools of one module, or none where they are not configured."""
