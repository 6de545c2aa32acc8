"""What the tests of faults have: a cluster each, and nothing left of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from faults.cluster import Cluster


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as offloop does."""
    return "asyncio"


@pytest.fixture
async def cluster(anyio_backend: str) -> AsyncIterator[Cluster]:  # noqa: ARG001 -- decides what this runs on
    """A Valkey and a proxy; the test adds workers and front ends."""
    async with Cluster() as made:
        yield made
