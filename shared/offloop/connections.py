"""Named connections in the settings: their names, and the URLs of databases, document and key stores.

No message contains a host or a password: messages are logged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

DATABASES: Final = ("sqlite", "postgresql", "postgres", "mysql", "mariadb")
MONGODB: Final = ("mongodb", "mongodb+srv")
REDIS: Final = ("redis", "rediss", "unix")
EVERY_KEY: Final = "*"
"""The prefix that allows every key, instead of an empty one that is easily written by accident."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_DATABASE: Final = re.compile(r'[^/\\. "$*<>:|?\0]{1,63}')
_INTERNAL: Final = ("admin", "config", "local")
"""Databases of a MongoDB server's own data, with the credentials of its users."""
_FORMS: Final = (
    "mongodb://user:password@host/database, mongodb+srv://…, or redis://user:password@host:6379/0?prefix=shop:"
)


@dataclass(frozen=True, slots=True)
class KeyStore:
    """A Redis to read.

    Attributes:
        url: URL for the client library.
        prefixes: what readable keys begin with; an empty text allows every key.
    """

    url: str
    prefixes: tuple[str, ...]


def check_name(name: str) -> None:
    """Check the name of a connection.

    Raises:
        ValueError: it cannot be one.
    """
    if not _NAME.fullmatch(name):
        message = f"{name[:40]!r} cannot name a connection: write at most 32 letters, digits and _, a letter first"
        raise ValueError(message)


def databases(connections: dict[str, str]) -> dict[str, str]:
    """Check connections to SQL databases; their drivers read the rest of the URL.

    Raises:
        ValueError: a name or URL does not fit; the message names the connection.
    """
    for name, url in connections.items():
        check_name(name)
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in DATABASES:
            message = (
                f"connection {name!r} is written sqlite:////absolute/path.db, postgresql://user@host/database or "
                "mysql://user@host/database"
            )
            raise ValueError(message)
        if scheme == "sqlite" and not (rest.startswith("//") and rest.strip("/")):
            message = f"connection {name!r} needs an absolute path, with four slashes: sqlite:////absolute/path.db"
            raise ValueError(message)
    return connections


def sources(connections: dict[str, str]) -> dict[str, str]:
    """Check connections to document and key stores.

    Raises:
        ValueError: a name or URL does not fit; the message names the connection.
    """
    for name, url in connections.items():
        check_name(name)
        scheme = url.partition("://")[0]
        if "://" not in url or scheme not in (*MONGODB, *REDIS):
            message = f"connection {name!r} is written {_FORMS}"
            raise ValueError(message)
        try:
            problem = _document_problem(url) if scheme in MONGODB else _key_problem(url) or _prefix_problem(url)
        except ValueError:  # a port that is no number, or a bracket that is not closed
            problem = "has a host or port that cannot be read"
        if problem:
            message = f"connection {name!r} {problem}"
            raise ValueError(message)
    return connections


def check_distinct(*names: Iterable[str]) -> None:
    """Check that no two connections have one name.

    Raises:
        ValueError: two have.
    """
    seen: set[str] = set()
    for name in (name for group in names for name in group):
        if name in seen:
            message = f"connection {name!r} is given as OFFLOOP_SQL_… and as OFFLOOP_SOURCE_…: rename one"
            raise ValueError(message)
        seen.add(name)


def key_store(url: str) -> KeyStore:
    """The parts of a checked Redis URL."""
    parts = urlsplit(url)
    options = parse_qsl(parts.query, keep_blank_values=True)
    prefixes = tuple("" if text == EVERY_KEY else text for name, text in options if name == "prefix")
    query = urlencode([(name, text) for name, text in options if name != "prefix"])
    return KeyStore(urlunsplit(parts._replace(query=query)), prefixes)


def _document_problem(url: str) -> str | None:
    parts = urlsplit(url)
    if not parts.netloc.rpartition("@")[2]:
        return "has no host: write mongodb://user:password@host/database"
    database = unquote(parts.path.removeprefix("/"))
    if not _DATABASE.fullmatch(database):
        return "names no database: write mongodb://user:password@host/database"
    if database in _INTERNAL:
        return f"names the database {database}, which holds the server's own data: name another"
    return None


def _key_problem(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        if parts.hostname or not parts.path.strip("/"):
            return "needs an absolute path: unix:///run/redis.sock?prefix=shop:"
    elif not parts.hostname or parts.port == 0:
        return "has no host: write redis://user:password@host:6379/0?prefix=shop:"
    elif not re.fullmatch(r"/?\d*", parts.path):
        return "has a database that is not a number: write redis://user:password@host:6379/0?prefix=shop:"
    return None


def _prefix_problem(url: str) -> str | None:
    if "#" in url:  # what follows it would be no part of a prefix, which then allows more keys
        return "has a #: write %23 for it"
    options = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    prefixes = [text for name, text in options if name == "prefix"]
    if not prefixes:
        return f"allows no key: add what readable keys begin with, ?prefix=shop:&prefix=cart:, or {EVERY_KEY} for all"
    if "" in prefixes:
        return f"has an empty prefix: write prefix={EVERY_KEY} to allow every key"
    return None
