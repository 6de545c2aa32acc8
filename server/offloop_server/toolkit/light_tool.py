"""Light tools: the front end answers them itself, without a worker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from mcp_types import CallToolResult, Tool, ToolAnnotations
from pydantic import BaseModel

from offloop.kinds.kind import Model
from offloop.kinds.options import Family
from offloop_server.toolkit.arguments import output_schema, schema, validate
from offloop_server.toolkit.services import Caller, Services

ModelT = TypeVar("ModelT", bound=Model)


class LightTool(ABC, Generic[ModelT]):
    """Base of a tool that the front end answers itself.

    A subclass sets the class attributes, which become the tool's description, and implements `do`.

    Args:
        services: the services of this front end.
    """

    name: str
    description: str
    arguments: type[ModelT]
    answers: type[BaseModel]
    read_only: bool = True
    destructive: bool = False
    idempotent: bool = True
    open_world: bool = False
    family: Family | None = None

    def __init__(self, services: Services) -> None:
        self._services = services

    def describe(self) -> Tool:
        """The tool's entry in ``tools/list``."""
        return Tool(
            name=self.name,
            title=self.name.replace("_", " ").capitalize(),
            description=self.description,
            input_schema=schema(self.arguments),
            output_schema=output_schema(self.answers),
            annotations=ToolAnnotations(
                read_only_hint=self.read_only,
                destructive_hint=self.destructive,
                idempotent_hint=self.idempotent,
                open_world_hint=self.open_world,
            ),
        )

    async def call(self, arguments: dict[str, Any], caller: Caller) -> CallToolResult:
        """Validate the arguments and run the tool.

        Raises:
            OffloopError: the call is refused; the message is for the caller.
        """
        return await self.do(validate(self.name, self.arguments, arguments), caller)

    @abstractmethod
    async def do(self, value: ModelT, caller: Caller) -> CallToolResult:
        """Run the tool with validated arguments."""
