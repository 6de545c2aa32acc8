"""A PostgreSQL server of Debian, which has the extensions that come with PostgreSQL, and XML."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.postgres import Postgres, serve_postgres
from support.programs import needs

PACKAGED = Path("/usr/lib/postgresql")


@pytest.fixture(scope="session")
def packaged() -> Iterator[Postgres]:
    """The server; its programs are those of the newest version that is installed."""
    needs("postgresql", PACKAGED)
    newest = max(PACKAGED.iterdir(), key=lambda folder: float(folder.name))
    with serve_postgres(lambda _folder, _user: newest / "bin") as server:
        yield server
