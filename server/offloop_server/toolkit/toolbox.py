"""The tools of a front end: listed, looked up by name, called."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolResult, ListToolsResult

from offloop import logs
from offloop.errors import OffloopError, SettingsError
from offloop_server.toolkit.answers import refusal
from offloop_server.toolkit.services import AnyTool, Caller

log = logs.get(__name__)


class Toolbox:
    """Tools by name.

    Args:
        tools: in the order in which they are listed.

    Attributes:
        listed: the answer to ``tools/list``.
    """

    def __init__(self, tools: Iterable[AnyTool]) -> None:
        """Describe each tool once.

        Raises:
            SettingsError: two tools have one name.
        """
        self._tools: dict[str, AnyTool] = {}
        for tool in tools:
            if self._tools.setdefault(tool.name, tool) is not tool:
                message = f"the name {tool.name!r} is taken by a tool of the server; rename yours"
                raise SettingsError(message)
        self.listed = ListToolsResult(tools=[tool.describe() for tool in self._tools.values()])
        self._routed = {tool.name: tool.input_schema for tool in self.listed.tools if _is_routed(tool.input_schema)}

    def routed_schema(self, name: str) -> Mapping[str, Any] | None:
        """The input schema of a tool that repeats arguments in headers, which the SDK checks; else None.

        Without this lookup the SDK would list all tools on each call.
        """
        return self._routed.get(name)

    async def call(self, name: str, arguments: dict[str, Any], caller: Caller) -> CallToolResult:
        """Call a tool; every failure of the tool is an answer with ``isError``.

        Raises:
            MCPError: there is no such tool.
        """
        tool = self._tools.get(name)
        if tool is None:
            message = f"There is no tool {name[:80]!r}; tools/list shows the tools there are."
            raise MCPError(INVALID_PARAMS, message)
        try:
            return await tool.call(arguments, caller)
        except OffloopError as error:
            return refusal(error.message)
        except Exception:
            log.exception("tool failed", tool=name, principal=caller.principal)
            return refusal(f"{name} failed inside the server; the operator's log has the reason. Try again.")


def _is_routed(schema: Mapping[str, Any]) -> bool:
    return "x-mcp-header" in json.dumps(schema)
