"""Fixtures of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from offloop_workers.children.pool import Children
from support.redis import lasting


@pytest.fixture(scope="session")
async def pdf_children(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Children]:
    """One real child for PDFs, sandboxed and capped, shared by the tests of this process."""
    folder = tmp_path_factory.mktemp("pdf")
    pool = Children(1, ("pdf",), folder / "temporary")
    with lasting(folder):
        await pool.__aenter__()
    try:
        yield pool
    finally:
        await pool.__aexit__()
