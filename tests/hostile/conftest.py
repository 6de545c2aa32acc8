"""Fixtures of the hostile cases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hostile import hashing
from hostile.harness import SECRET, Harness
from hostile.table import LIMITS
from offloop.artifacts.store import ArtifactStore
from offloop.kinds import catalogue
from offloop.kinds.kind import Kind
from offloop.redis.connection import connect
from offloop.settings import load
from offloop_workers.children.fetching import Fetching
from offloop_workers.children.pool import Children
from offloop_workers.children.scratch import Scratch
from support.hosts.outside import outside
from support.redis import lasting


@pytest.fixture(scope="session")
async def harness(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harness]:
    """The harness, shared by the cases of this process; its worker may fetch from every public host."""
    folder = tmp_path_factory.mktemp("harness")
    root = folder / "data"
    root.mkdir()
    hashing.prepare(root)
    kinds = {name: _tightened(kind) for name, kind in catalogue.load().items()}
    children = Children(2, catalogue.load().queues, folder / "temporary")
    async with AsyncExitStack() as stack:
        canary = await stack.enter_async_context(outside())
        settings = load({"OFFLOOP_FETCH_HOSTS": "*", "OFFLOOP_FETCH_PORTS": f"80,443,{canary.port}"})
        fetching = await stack.enter_async_context(Fetching(settings))
        redis = connect(valkey)
        stack.push_async_callback(redis.aclose, close_connection_pool=True)
        store = ArtifactStore((folder / "artifacts").as_uri(), redis, retention_seconds=60)
        scratch = stack.enter_context(Scratch(folder / "scratch"))
        with lasting(folder), pytest.MonkeyPatch.context() as patch:
            patch.setenv("OFFLOOP_FILE_ROOTS", f"data={root}")
            patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
            await stack.enter_async_context(children)
        yield Harness(kinds, children, Path(folder / "temporary"), store, scratch, fetching, canary)


def _tightened(kind: Kind[Any, Any]) -> Kind[Any, Any]:
    return replace(kind, limits=kind.limits.tightened(LIMITS.get(kind.name, LIMITS[""]), kind=kind.name))
