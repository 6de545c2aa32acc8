"""Arguments of query_redis."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from offloop_server.io.results.answers import ResultArguments

CommandName = Annotated[str, Field(min_length=1, max_length=64)]
CommandArguments = Annotated[
    list[Annotated[str, Field(max_length=65_536)] | int | float | dict[str, str]], Field(max_length=1000)
]


class RedisArguments(ResultArguments):
    """A command that reads, and the form of its reply."""

    command: CommandName = Field(
        description="GET, MGET, HGETALL, HMGET, LRANGE, SMEMBERS, ZRANGE, XRANGE, SCAN, TYPE, TTL, EXISTS, STRLEN or "
        "another one that reads. A wrong one is answered with the list."
    )
    arguments: CommandArguments = Field(
        default_factory=list,
        description='Its arguments, one an element, the key first: ["shop:1"]. Bytes are written {"base64": "…"}. '
        "SCAN takes MATCH and a pattern, and no cursor.",
    )
