"""Named sources of a front end: databases and stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Self

from offloop.errors import SettingsError
from offloop.settings import Settings
from offloop_server.io.catalogue import Catalogue
from offloop_server.io.connections import Connections
from offloop_server.io.sql.catalogue import SqlCatalogue
from offloop_server.io.sql.driver import Driver
from offloop_server.io.sql.postgres.database import PostgreSQL
from offloop_server.io.sql.sqlite.database import SQLite, SQLiteThreads, path_of


class Databases:
    """All connections, as an async context manager; the first query opens each, the exit closes them.

    Args:
        settings: names and limits.

    Attributes:
        sql: connections of the SQL tools.
        catalogues: connections that have tables or collections.
    """

    def __init__(self, settings: Settings) -> None:
        self._threads = SQLiteThreads(settings.query_threads, settings.query_memory_mb)
        makers: Final[Mapping[str, Callable[[str, str], Driver]]] = {
            "sqlite": lambda _name, url: SQLite(path_of(url), self._threads),
            "postgresql": PostgreSQL,
            "postgres": PostgreSQL,
            "mysql": _mysql,
            "mariadb": _mysql,
        }
        self._drivers = {name: makers[url.partition("://")[0]](name, url) for name, url in settings.sql.items()}
        self.sql = Connections(self._drivers)
        self.catalogues: Connections[Catalogue] = Connections(
            {name: SqlCatalogue(driver) for name, driver in self._drivers.items()}
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for driver in self._drivers.values():
            await driver.close()
        await self._threads.close()


def _mysql(name: str, url: str) -> Driver:
    # Imported here: a front end without such a connection does not load its library.
    from offloop_server.io.sql.mysql.database import MySQL  # noqa: PLC0415

    try:
        return MySQL(name, url)
    except ValueError as error:
        message = f"OFFLOOP_SQL_{name.upper()}: {error}; write mysql://user:password@host:port/database"
        raise SettingsError(message) from None
