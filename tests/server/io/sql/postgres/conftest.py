"""A PostgreSQL server of Debian, which has the extensions that come with PostgreSQL, and XML."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.postgres import Postgres, serve_postgres
from support.programs import needs

PACKAGED = Path("/usr/lib/postgresql")
"""Has a folder for each installed version, also of the clients alone."""


@pytest.fixture(scope="session")
def packaged() -> Iterator[Postgres]:
    """The server; its programs are those of the newest version that is installed."""
    servers = [found.parent for found in PACKAGED.glob("*/bin/initdb")] or [PACKAGED / "*/bin"]
    newest = max(servers, key=lambda folder: folder.parent.name.zfill(3))
    needs("postgresql", newest / "initdb")
    with serve_postgres(lambda _folder, _user: newest) as server:
        yield server
