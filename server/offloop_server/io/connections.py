"""Named connections of one sort of source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar

from offloop.errors import BadInput
from offloop_server.io.catalogue import Dialect


class Source(Protocol):
    """An open source."""

    @property
    def dialect(self) -> Dialect:
        """The product."""


SourceT = TypeVar("SourceT", bound=Source)


class Connections(Generic[SourceT]):
    """Sources by name.

    Args:
        sources: the sources.
    """

    def __init__(self, sources: Mapping[str, SourceT]) -> None:
        self._sources = sources

    def names(self, dialect: Dialect | None = None) -> list[str]:
        """The names of all connections, or of those to one product, sorted."""
        return sorted(name for name, source in self._sources.items() if dialect in (None, source.dialect))

    def get(self, name: str | None, dialect: Dialect | None = None) -> tuple[str, SourceT]:
        """Name and source of a connection; without a name, of the only connection.

        Raises:
            BadInput: there is no such connection, or there are several; the message names them.
        """
        known = self.names(dialect)
        if name is None and len(known) == 1:
            name = known[0]
        if name in known:
            return name, self._sources[name]
        listed = f"the {dialect + ' ' if dialect else ''}connections are: {', '.join(known) or 'none'}"
        message = (
            f"Say which connection: {listed}." if name is None else f"There is no connection {name[:40]!r}; {listed}."
        )
        raise BadInput(message)
