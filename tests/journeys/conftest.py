"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.hosts.receiver import Receiver, receiving
from support.mariadb import mariadb_or_none
from support.postgres import Postgres
from support.stack.full import DATABASE, full
from support.stack.gates import Gate
from support.stack.guests import guest_front_end
from support.stack.stack import FrontEnd, Stack


@pytest.fixture
def gate(tmp_path: Path, nothing_left_behind: None) -> Iterator[Gate]:  # noqa: ARG001 -- orders the teardown: leaks are checked after the gate opens
    """A gate; it opens at the end of the test, so that no job stays held."""
    one = Gate(tmp_path / "gate")
    yield one
    one.open()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of webhooks on 127.0.0.1."""
    with receiving() as one:
        yield one


@pytest.fixture(scope="session")
def full_stack(temporary: Path, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A front end with all features and a worker, shared: a test breaks only guests, which it adds itself.

    Without PostgreSQL or MariaDB the stack has one database less, and only the tests that ask for it are skipped.
    """
    with full(temporary, {**_postgres(request), **_mariadb(request)}) as stack:
        yield stack


@pytest.fixture(scope="session")
def keyless(stack: Stack) -> Iterator[FrontEnd]:
    """A front end of the shared stack that needs no API key."""
    with guest_front_end(stack, api_keys="") as front_end:
        yield front_end


def _postgres(request: pytest.FixtureRequest) -> dict[str, str]:
    try:
        postgres: Postgres = request.getfixturevalue("postgres")
    except pytest.skip.Exception:
        return {}
    asyncio.run(postgres.execute(f"CREATE DATABASE {DATABASE}"))
    return {"pg": postgres.url(database=DATABASE)}


def _mariadb(request: pytest.FixtureRequest) -> dict[str, str]:
    if (mariadb := mariadb_or_none(request)) is None:
        return {}
    asyncio.run(mariadb.execute(f"CREATE DATABASE {DATABASE}"))
    return {"my": mariadb.url(database=DATABASE)}
