"""Named sources of a front end: databases and stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Self

from offloop.connections import MONGODB, REDIS
from offloop.errors import SettingsError
from offloop.settings import Settings
from offloop_server.io.catalogue import Catalogue
from offloop_server.io.connections import Connections
from offloop_server.io.sql.catalogue import SqlCatalogue
from offloop_server.io.sql.driver import Driver
from offloop_server.io.sql.sqlite.database import SQLite, SQLiteThreads, path_of

if TYPE_CHECKING:
    from offloop_server.io.mongodb.database import MongoDB
    from offloop_server.io.redis.store import RedisStore


class Databases:
    """All connections, as an async context manager; the first query opens each, the exit closes them.

    Args:
        settings: names and limits.

    Attributes:
        sql: connections of the SQL tools.
        mongodb: connections of query_mongodb.
        redis: connections of query_redis.
        catalogues: connections that have tables or collections.
    """

    def __init__(self, settings: Settings) -> None:
        self._threads = SQLiteThreads(settings.query_threads, settings.query_memory_mb)
        makers: Final[Mapping[str, Callable[[str, str], Driver]]] = {
            "sqlite": lambda _name, url: SQLite(path_of(url), self._threads),
            "postgresql": _postgresql,
            "postgres": _postgresql,
            "mysql": _mysql,
            "mariadb": _mysql,
        }
        self._drivers = {name: makers[url.partition("://")[0]](name, url) for name, url in settings.sql.items()}
        documents = _documents({name: url for name, url in settings.source.items() if url.startswith(MONGODB)})
        keys = _keys({name: url for name, url in settings.source.items() if url.startswith(REDIS)})
        self._stores: list[MongoDB | RedisStore] = [*documents.values(), *keys.values()]
        self.sql = Connections(self._drivers)
        self.mongodb = Connections(documents)
        self.redis = Connections(keys)
        self.catalogues: Connections[Catalogue] = Connections(
            {**{name: SqlCatalogue(driver) for name, driver in self._drivers.items()}, **documents}
        )

    @property
    def configured(self) -> bool:
        """Whether there is any connection."""
        return bool(self._drivers or self._stores)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for driver in self._drivers.values():
            await driver.close()
        for store in self._stores:
            await store.close()
        await self._threads.close()


# Drivers are imported by their makers: a front end without such a connection does not load its library.


def _postgresql(name: str, url: str) -> Driver:
    from offloop_server.io.sql.postgres.database import PostgreSQL  # noqa: PLC0415

    return PostgreSQL(name, url)


def _mysql(name: str, url: str) -> Driver:
    from offloop_server.io.sql.mysql.database import MySQL  # noqa: PLC0415

    try:
        return MySQL(name, url)
    except ValueError as error:
        message = f"OFFLOOP_SQL_{name.upper()}: {error}; write mysql://user:password@host:port/database"
        raise SettingsError(message) from None


def _documents(urls: Mapping[str, str]) -> dict[str, MongoDB]:
    if not urls:
        return {}
    from offloop_server.io.mongodb.database import MongoDB  # noqa: PLC0415

    return {name: MongoDB(name, url) for name, url in urls.items()}


def _keys(urls: Mapping[str, str]) -> dict[str, RedisStore]:
    if not urls:
        return {}
    from offloop_server.io.redis.store import RedisStore  # noqa: PLC0415

    return {name: RedisStore(name, url) for name, url in urls.items()}
