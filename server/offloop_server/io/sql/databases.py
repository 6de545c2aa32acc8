"""Named database connections of a front end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Self

from offloop.errors import BadInput
from offloop.settings import Settings
from offloop_server.io.sql.driver import Deadline, Dialect, Driver
from offloop_server.io.sql.postgres.database import PostgreSQL
from offloop_server.io.sql.sqlite.database import SQLite, SQLiteThreads, path_of


class Databases:
    """All connections, as an async context manager; the first query opens each, the exit closes them.

    Args:
        settings: names and limits.
    """

    def __init__(self, settings: Settings) -> None:
        self._seconds = settings.query_seconds
        self._threads = SQLiteThreads(settings.query_threads, settings.query_memory_mb)
        makers: Final[Mapping[str, Callable[[str, str], Driver]]] = {
            "sqlite": lambda _name, url: SQLite(path_of(url), self._threads),
            "postgresql": PostgreSQL,
            "postgres": PostgreSQL,
        }
        self._drivers = {name: makers[url.partition("://")[0]](name, url) for name, url in settings.sql.items()}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for driver in self._drivers.values():
            await driver.close()
        await self._threads.close()

    def names(self, dialect: Dialect | None = None) -> list[str]:
        """The names of all connections, or of those to one database product, sorted."""
        return sorted(name for name, driver in self._drivers.items() if dialect in (None, driver.dialect))

    def deadline(self, seconds: float | None = None) -> Deadline:
        """The deadline of a query: `seconds` from now, capped by the settings."""
        return Deadline(min(seconds or self._seconds, self._seconds))

    def driver(self, name: str | None, dialect: Dialect | None = None) -> Driver:
        """The driver of a connection; without a name, of the only connection.

        Raises:
            BadInput: there is no such connection, or there are several; the message names them.
        """
        known = self.names(dialect)
        if name is None and len(known) == 1:
            name = known[0]
        if name in known:
            return self._drivers[name]
        listed = f"the {dialect + ' ' if dialect else ''}connections are: {', '.join(known) or 'none'}"
        message = (
            f"Say which connection: {listed}." if name is None else f"There is no connection {name[:40]!r}; {listed}."
        )
        raise BadInput(message)
