"""Tools for outside sources, loaded only where a host or a database is configured."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from offloop.artifacts.store import ArtifactStore
    from offloop.settings import Settings
    from offloop_server.toolkit.services import AnyTool, Services, ToolFactory


@asynccontextmanager
async def io_tools(settings: Settings, store: ArtifactStore) -> AsyncIterator[ToolFactory]:
    """Open the configured sources, close them with the block; yields the factory of their tools."""
    if not (settings.fetch_hosts or settings.sql or settings.source):
        yield _no_tools
        return
    from offloop_server.io.sources import open_sources  # noqa: PLC0415 -- its libraries take a quarter of a front end

    async with open_sources(settings, store) as tools:
        yield tools


def _no_tools(_services: Services) -> list[AnyTool]:
    return []
