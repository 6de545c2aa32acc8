"""Fixtures of the server's tests."""

from __future__ import annotations

import pytest
from arq.connections import ArqRedis

from offloop.queue.client import Bounds, JobQueue
from support.caller import FRONT
from support.command_line import offloop
from support.steps import Steps

__all__ = ["offloop"]


@pytest.fixture
def queue(redis: ArqRedis) -> JobQueue:
    """The client side, as the front end `FRONT`."""
    return JobQueue(redis, Bounds(60, 100, 100), front_end=FRONT)


@pytest.fixture
def worker(redis: ArqRedis) -> Steps:
    """A worker whose scripts the test runs itself."""
    return Steps(redis)
