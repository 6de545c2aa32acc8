"""Tools of configured sources without a front end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from arq.connections import ArqRedis
from mcp_types import CallToolResult

from offloop import settings as configuration
from offloop.artifacts.store import ArtifactStore
from offloop_server.io.tools import io_tools
from offloop_server.toolkit.services import AnyTool
from support.services import only, principal

ALICE = principal("alice")


@dataclass(frozen=True)
class SourceTools:
    """The tools by name."""

    box: dict[str, AnyTool]
    store: ArtifactStore

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured answer of a call."""
        return cast("dict[str, Any]", (await self.result(tool, **arguments)).structured_content)

    async def rows(self, tool: str, **arguments: Any) -> list[dict[str, Any]]:
        """The rows of a call."""
        return cast("list[dict[str, Any]]", (await self.call(tool, **arguments))["rows"])

    async def result(self, tool: str, **arguments: Any) -> CallToolResult:
        """The complete answer of a call."""
        return await self.box[tool].call(arguments, ALICE)

    async def file(self, answer: dict[str, Any]) -> bytes:
        """The bytes of the artifact of an answer."""
        artifact = await self.store.get(answer["artifact"]["artifact_id"], principal="alice")
        return b"".join([piece async for piece in self.store.stream(artifact)])


@asynccontextmanager
async def source_tools(redis: ArqRedis, folder: Path, **settings: str) -> AsyncIterator[SourceTools]:
    """The tools that a front end with these settings, named without ``OFFLOOP_``, lists for its sources."""
    loaded = configuration.load({f"OFFLOOP_{name.upper()}": value for name, value in settings.items()})
    store = ArtifactStore((folder / "artifacts").as_uri(), redis, retention_seconds=60)
    async with io_tools(loaded, store) as tools:
        made = tools(only(settings=loaded, redis=redis, store=store))
        yield SourceTools({tool.name: tool for tool in made}, store)
