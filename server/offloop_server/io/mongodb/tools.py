"""query_mongodb tool; listed where a MongoDB is configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_types import CallToolResult

from offloop_server.io.connections import Connections
from offloop_server.io.mongodb.answers import DocumentsArguments
from offloop_server.io.results.answers import QueryAnswer
from offloop_server.io.results.documents import Documents
from offloop_server.io.results.reads import Reads, result
from offloop_server.toolkit.light_tool import LightTool
from offloop_server.toolkit.services import AnyTool, Caller, Services

if TYPE_CHECKING:
    from offloop_server.io.deadline import Deadline
    from offloop_server.io.mongodb.database import MongoDB
    from offloop_server.io.mongodb.query import Query
    from offloop_server.io.results.rows import Rows


class DocumentReads:
    """Runs the queries of callers.

    Args:
        connections: the databases.
        reads: answers them.
    """

    def __init__(self, connections: Connections[MongoDB], reads: Reads) -> None:
        self._connections = connections
        self._reads = reads

    async def answer(self, arguments: DocumentsArguments, caller: Caller) -> QueryAnswer:
        """Check and run a query, and return its documents as rows, or save them.

        Raises:
            OffloopError: the query was refused or failed.
        """
        connection, database = self._connections.get(arguments.connection)
        query = _query(arguments)

        async def read(into: Rows, deadline: Deadline) -> None:
            assert isinstance(into, Documents)  # noqa: S101 -- made by `answer` below
            await database.run(query, arguments.extended_json, into, deadline)

        return await self._reads.answer(arguments, caller, connection, read, Documents)


class QueryMongoDB(LightTool[DocumentsArguments]):
    """Queries of MongoDB connections."""

    name = "query_mongodb"
    description = (
        "Read documents of a MongoDB connection: a collection with filter, projection and sort, or an aggregation "
        "pipeline. Never writes. Values come as Extended JSON. Stops at max_rows, max_bytes and timeout_seconds; "
        "save=true makes a file of up to 100000 documents."
    )
    arguments = DocumentsArguments
    answers = QueryAnswer
    family = "mongodb"

    def __init__(self, services: Services, reads: DocumentReads) -> None:
        super().__init__(services)
        self._reads = reads

    async def do(self, value: DocumentsArguments, caller: Caller) -> CallToolResult:
        return result(await self._reads.answer(value, caller))


def mongodb_tools(services: Services, connections: Connections[MongoDB], reads: DocumentReads) -> list[AnyTool]:
    """The tool; none without a MongoDB."""
    return [QueryMongoDB(services, reads)] if connections.names() else []


def _query(arguments: DocumentsArguments) -> Query:
    """The query with every part checked.

    Raises:
        BadInput: a part is not available or malformed.
    """
    # Its library is loaded already: there is a connection.
    from offloop_server.io.mongodb.guard import Guard, collection_name  # noqa: PLC0415
    from offloop_server.io.mongodb.query import Query  # noqa: PLC0415

    guard = Guard()
    return Query(
        collection_name(arguments.collection),
        guard.fields("filter", arguments.filter or {}),
        guard.fields("projection", arguments.projection) if arguments.projection else None,
        guard.sort(arguments.sort) if arguments.sort else None,
        arguments.skip,
        guard.pipeline(arguments.pipeline) if arguments.pipeline is not None else None,
        arguments.explain,
    )
