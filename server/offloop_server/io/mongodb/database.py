"""One MongoDB database: queries with the server's own time limit, and documents decoded batch by batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import bson
from bson.errors import BSONError
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from offloop import logs
from offloop.errors import BadInput, Unavailable
from offloop_server.io.catalogue import SAMPLE_BYTES, SAMPLE_CELL, Dialect, Shape, Table
from offloop_server.io.deadline import Deadline
from offloop_server.io.mongodb import catalogue
from offloop_server.io.mongodb.extended_json import CODEC, Mode, to_json, type_name
from offloop_server.io.mongodb.failures import explained
from offloop_server.io.mongodb.query import Query
from offloop_server.io.mongodb.rights import check_rights
from offloop_server.io.permits import Permits
from offloop_server.io.results.documents import Documents
from offloop_server.io.results.rows import Rows

_CONNECTIONS: Final = 10
_GRACE: Final = 0.5
"""Seconds that the server gets to stop a query itself."""
_SELECT_MS: Final = 3000
_CLOSE_SECONDS: Final = 5.0
_BATCH: Final = 100
"""Documents of one reply, which has at most 16 MiB, and so at most one document over that."""
_MANY_BYTES: Final = 64 << 10
"""Batches above this size, of which the decoding takes several milliseconds, are decoded in a thread."""
COMMENT: Final = "offloop query_mongodb"
"""Marks the queries in the server's log and profile."""

log = logs.get(__name__)


class MongoDB:
    """One database.

    Args:
        name: of the connection, for the log.
        url: with the password, which is never logged.
    """

    dialect: Dialect = "MongoDB"

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        self._url = url
        self._permits = Permits(_CONNECTIONS)
        self._opening = asyncio.Lock()
        self._client: AsyncMongoClient[dict[str, Any]] | None = None

    async def close(self) -> None:
        """Close every connection."""
        client, self._client = self._client, None
        if client is not None:
            with anyio.move_on_after(_CLOSE_SECONDS):
                await client.close()

    async def run(self, query: Query, mode: Mode, into: Documents, deadline: Deadline) -> None:
        """Run a checked query and add its documents to `into` until the end or a cap.

        Args:
            query: the query.
            mode: form of the values.
            into: gets the documents.
            deadline: time limit.

        Raises:
            BadInput: the server refuses the query.
            LimitExceeded: time or memory ran out.
            Busy: all connections stayed in use.
            Unavailable: the server does not answer.
        """
        async with self._reading(deadline) as database:
            if query.explain:
                _add([await _plan(database, query, deadline)], mode, into)
                return
            try:
                batch_size = min(_BATCH, into.missing)
                cursor = await query.begin(database, batch_size, into.missing, limit_ms(deadline), COMMENT)
            except (TypeError, ValueError) as error:  # from the client library's own checks
                message = f"MongoDB cannot take the query: {str(error)[:200].rstrip('.')}."
                raise BadInput(message) from None
            try:
                async for batch in cursor:
                    add = asyncio.to_thread(_decoded, batch, mode, into) if len(batch) > _MANY_BYTES else None
                    if not (await add if add else _decoded(batch, mode, into)):
                        return
            finally:
                with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                    await cursor.close()  # ends it in the server

    async def tables(self, deadline: Deadline) -> list[Table]:
        async with self._reading(deadline) as database:
            return await catalogue.collections(database, limit_ms(deadline))

    async def shape(self, name: str, schema: str | None, deadline: Deadline) -> Shape:
        async with self._reading(deadline) as database:
            return await catalogue.shape(database, name, schema, limit_ms(deadline))

    async def sample(self, table: Table, count: int, deadline: Deadline) -> Rows:
        documents = Documents(count, SAMPLE_BYTES, SAMPLE_CELL)
        await self.run(Query(table.name), "relaxed", documents, deadline)
        return documents

    @asynccontextmanager
    async def _reading(self, deadline: Deadline) -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
        """The database until the deadline; a cancelled command closes its connection, which ends it in the server."""
        async with self._permits.one(deadline):
            try:
                async with asyncio.timeout(deadline.left + _GRACE):
                    yield (await self._open()).get_default_database()
            except (PyMongoError, BSONError, OSError, OverflowError, UnicodeError) as error:
                raise explained(error, self._name, deadline, reachable=self._reachable()) from None

    async def _open(self) -> AsyncMongoClient[dict[str, Any]]:
        async with self._opening:
            if self._client is None:
                client = self._made()
                try:
                    await check_rights(client, self._name)
                except BaseException:
                    with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                        await client.close()
                    raise
                self._client = client
            return self._client

    def _reachable(self) -> bool:
        """Whether a server is known that may be read."""
        client = self._client
        return client is not None and client.topology_description.has_readable_server(client.read_preference)

    def _made(self) -> AsyncMongoClient[dict[str, Any]]:
        try:
            return AsyncMongoClient(
                self._url,
                maxPoolSize=_CONNECTIONS,
                serverSelectionTimeoutMS=_SELECT_MS,
                connectTimeoutMS=_SELECT_MS,
                appname="offloop",
            )
        except Exception as error:  # noqa: BLE001 -- the library's messages quote the URL, and that has a password
            log.warning("URL of a source is not usable", connection=self._name, error=type(error).__name__)
            message = f"The URL of the connection {self._name} is not usable; the operator has to correct it."
            raise Unavailable(message, retryable=False) from None


def limit_ms(deadline: Deadline) -> int:
    """The time limit for the server, in milliseconds."""
    return max(1, int(deadline.left * 1000))


async def _plan(database: AsyncDatabase[dict[str, Any]], query: Query, deadline: Deadline) -> dict[str, Any]:
    command = {"explain": query.command(), "verbosity": "queryPlanner", "comment": COMMENT}
    plan = await database.command(
        command, read_preference=database.read_preference, codec_options=CODEC, maxTimeMS=limit_ms(deadline)
    )
    return {name: plan[name] for name in ("queryPlanner", "stages") if name in plan}


def _decoded(batch: bytes, mode: Mode, into: Documents) -> bool:
    return _add(bson.decode_iter(batch, CODEC), mode, into)


def _add(documents: Any, mode: Mode, into: Documents) -> bool:
    for document in documents:
        types = {name: type_name(value) for name, value in document.items()}
        if not into.add_document(to_json(document, mode), types):
            return False
    return True
