"""Which tools are listed: families that an operator switches on, so that a model that needs five is not shown forty.

The tools around jobs and files are in no family, and neither are jobs of the operator's own: they are always there.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Final, TypeVar

from offloop.kinds import catalogue
from offloop.settings import FAMILIES
from offloop_server.toolkit.job_tool import AnyTool

ToolT = TypeVar("ToolT", bound=AnyTool)

_CONTRACTS: Final = {
    "offloop.jobs.documents": "pdf",
    "offloop.jobs.hashing": "hashing",
    "offloop.jobs.images": "images",
    "offloop.jobs.pdf": "pdf",
}
"""The family of each module of contracts."""

_LIGHT: Final = {
    "http_get": "http",
    "call_api": "http",
    "bulk_fetch": "http",
    "list_tables": "sql",
    "describe_table": "sql",
    "query_records": "sql",
    "query_postgres": "sql",
    "gather_sources": "gather",
    "list_deliveries": "webhooks",
    "replay_delivery": "webhooks",
    "rotate_webhook_secret": "webhooks",
}
"""The family of each tool that the front end answers itself."""


class Families:
    """The families that are switched on.

    Args:
        chosen: their names; none stands for all.
    """

    def __init__(self, chosen: Iterable[str]) -> None:
        self._chosen = frozenset(chosen) or frozenset(FAMILIES)
        self._families = dict(_LIGHT)
        for module, family in _CONTRACTS.items():
            for kind in catalogue.kinds_in(importlib.import_module(module)):
                self._families[kind.name] = family

    def of(self, tool: str) -> str | None:
        """The family of a tool; None for one that is always there."""
        return self._families.get(tool)

    def offers(self, tool: str) -> bool:
        """Whether a tool of this name is listed, where there is one."""
        family = self.of(tool)
        return family is None or family in self._chosen

    def offered(self, tools: Iterable[ToolT]) -> list[ToolT]:
        """Those of the tools that are listed, in the same order."""
        return [tool for tool in tools if self.offers(tool.name)]

    def empty(self, tools: Iterable[ToolT]) -> list[str]:
        """Families that are on but have no tool, because what they need is not configured."""
        return sorted(self._chosen - {self.of(tool.name) for tool in tools})
