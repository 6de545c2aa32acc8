"""Fixtures of the shared tests: workers whose scripts the test runs itself."""

from __future__ import annotations

import pytest
from arq.connections import ArqRedis

from support.command_line import offloop
from support.steps import Steps

__all__ = ["offloop"]


@pytest.fixture
def worker(redis: ArqRedis) -> Steps:
    """A worker."""
    return Steps(redis)


@pytest.fixture
def one(redis: ArqRedis) -> Steps:
    """A worker named one."""
    return Steps(redis, "one")


@pytest.fixture
def two(redis: ArqRedis) -> Steps:
    """A worker named two."""
    return Steps(redis, "two")
