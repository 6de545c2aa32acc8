"""Interface of a stack to the harness; each of the three roles runs in a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Peer:
    """One stack. A stack inherits the roles that it does not have.

    Args:
        name: under which it stands in the table of peers; one module may serve several.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, role: str, main: Coroutine[Any, Any, None]) -> None:  # noqa: ARG002 -- some choose by it
        """Run the process of a role, on the event loop that it has in production."""
        asyncio.run(main)

    # --- the worker's process ---

    async def work(self, redis_url: str, slots: int) -> None:
        """Serve jobs, at most `slots` concurrently, until cancelled."""
        raise NotImplementedError

    # --- the server's process, where callers come through MCP ---

    async def serve(self, redis_url: str, port: int) -> None:
        """Serve MCP on the port until cancelled."""
        raise NotImplementedError

    # --- the callers' process ---

    async def open(self, target: str) -> None:
        """Connect to Redis, or to the server where there is one."""
        raise NotImplementedError

    async def close(self) -> None:
        pass

    async def noop(self) -> None:
        """Submit the job that does nothing, and return when its result has arrived."""
        raise NotImplementedError

    async def act(self, action: str, arguments: dict[str, Any]) -> Any:
        """Do anything but a noop: a PDF, a light tool, a cancellation; each stack supports some of these."""
        message = f"{self.name} cannot {action} {arguments}"
        raise NotImplementedError(message)
