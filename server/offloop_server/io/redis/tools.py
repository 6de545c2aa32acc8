"""query_redis tool; listed where a Redis is configured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcp_types import CallToolResult

from offloop_server.io.connections import Connections
from offloop_server.io.redis.answers import RedisArguments
from offloop_server.io.redis.values import Argument, encoded
from offloop_server.io.results.answers import QueryAnswer, ResultArguments
from offloop_server.io.results.reads import Reads, result
from offloop_server.toolkit.light_tool import LightTool
from offloop_server.toolkit.services import AnyTool, Caller, Services

if TYPE_CHECKING:
    from offloop_server.io.redis.store import RedisStore


class KeyReads:
    """Runs the commands of callers.

    Args:
        connections: the sources.
        reads: answers them.
    """

    def __init__(self, connections: Connections[RedisStore], reads: Reads) -> None:
        self._connections = connections
        self._reads = reads

    async def answer(
        self, command: str, arguments: Sequence[Argument], caps: ResultArguments, caller: Caller
    ) -> QueryAnswer:
        """Send a command and return its reply as rows, or save them.

        Raises:
            OffloopError: the command was refused or failed.
        """
        connection, store = self._connections.get(caps.connection)
        parts = [encoded(argument) for argument in arguments]
        return await self._reads.answer(
            caps, caller, connection, lambda into, deadline: store.run(command, parts, into, deadline)
        )


class QueryRedis(LightTool[RedisArguments]):
    """Commands that read a Redis."""

    name = "query_redis"
    description = (
        "Read a Redis with one command, such as GET, HGETALL, LRANGE, ZRANGE or SCAN, on keys under the allowed "
        "prefixes. Never writes. The reply comes as rows; it stops at max_rows, max_bytes and timeout_seconds; "
        "save=true makes a file of up to 100000 rows."
    )
    arguments = RedisArguments
    answers = QueryAnswer
    family = "redis"

    def __init__(self, services: Services, reads: KeyReads) -> None:
        super().__init__(services)
        self._reads = reads

    async def do(self, value: RedisArguments, caller: Caller) -> CallToolResult:
        return result(await self._reads.answer(value.command, value.arguments, value, caller))


def redis_tools(services: Services, connections: Connections[RedisStore], reads: KeyReads) -> list[AnyTool]:
    """The tool; none without a Redis."""
    return [QueryRedis(services, reads)] if connections.names() else []
