"""Fixtures of the fault tests: a cluster for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from faults.cluster import Cluster


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio."""
    return "asyncio"


@pytest.fixture
async def cluster(anyio_backend: str) -> AsyncIterator[Cluster]:  # noqa: ARG001 -- selects the event loop
    """A Valkey and a proxy; the test adds workers and front ends."""
    async with Cluster() as made:
        yield made
