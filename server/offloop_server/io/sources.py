"""HTTP, database and gather tools, with the connections they share: the HTTP client and the database pools."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from offloop_server.io.catalogue_tools import catalogue_tools
from offloop_server.io.databases import Databases
from offloop_server.io.gather.tools import Readers, gather_tools
from offloop_server.io.http.client import Fetcher
from offloop_server.io.http.tools import http_tools
from offloop_server.io.mongodb.tools import DocumentReads, mongodb_tools
from offloop_server.io.redis.tools import KeyReads, redis_tools
from offloop_server.io.results.reads import Reads
from offloop_server.io.sql.queries import Queries
from offloop_server.io.sql.tools import sql_tools

if TYPE_CHECKING:
    from offloop.artifacts.store import ArtifactStore
    from offloop.settings import Settings
    from offloop_server.toolkit.services import AnyTool, Services, ToolFactory


@asynccontextmanager
async def open_sources(settings: Settings, store: ArtifactStore) -> AsyncIterator[ToolFactory]:
    """Open the connections, close them with the block; yields the factory of the tools that are configured."""
    async with Fetcher(settings) as fetcher, Databases(settings) as databases:
        reads = Reads(store, settings.query_seconds)
        queries = Queries(databases.sql, reads)
        documents = DocumentReads(databases.mongodb, reads)
        keys = KeyReads(databases.redis, reads)

        def tools(services: Services) -> list[AnyTool]:
            return [
                *http_tools(services, fetcher),
                *catalogue_tools(services, databases, reads),
                *sql_tools(services, databases.sql, queries),
                *mongodb_tools(services, databases.mongodb, documents),
                *redis_tools(services, databases.redis, keys),
                *gather_tools(services, fetcher, databases, Readers(queries, documents, keys)),
            ]

        yield tools
