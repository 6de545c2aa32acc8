"""Commands that may be sent: each reads, and the table says which of its arguments are keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal

from offloop.errors import BadInput
from offloop_server.io.redis import readers
from offloop_server.io.redis.guard import Keyspace
from offloop_server.io.redis.session import Session
from offloop_server.io.results.rows import Rows

_MANY: Final = 1000
"""Most arguments of a command."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        usage: its arguments, for messages.
        count: how many arguments, at least and at most.
        keys: which arguments are keys.
        read: sends it and adds the reply's rows.
    """

    usage: str
    count: tuple[int, int]
    keys: Literal["first", "all", "none"]
    read: Callable[[Session, Keyspace, str, list[bytes], Rows], Awaitable[None]]


def prepared(name: str, arguments: list[bytes], keyspace: Keyspace) -> Callable[[Session, Rows], Awaitable[None]]:
    """The read of a command whose arguments were checked.

    Raises:
        BadInput: the command is not available, has a wrong number of arguments, or names a key that may not be read.
    """
    upper = name.strip().upper()
    command = COMMANDS.get(upper)
    if command is None:
        raise BadInput(_unknown(upper))
    least, most = command.count
    if not least <= len(arguments) <= most:
        message = f"Write {upper} {command.usage}, each argument as an element of arguments."
        raise BadInput(message)
    for key in {"first": arguments[:1], "all": arguments, "none": []}[command.keys]:
        keyspace.check(key)
    return lambda session, into: command.read(session, keyspace, upper, arguments, into)


def _unknown(name: str) -> str:
    instead = _INSTEAD.get(name.partition(" ")[0])
    if instead:
        return f"{name[:40]} is not available: {instead}."
    return f"{name[:40]!r} is not available: only commands that read are. They are: {', '.join(sorted(COMMANDS))}."


_INSTEAD: Final = {
    "KEYS": "send SCAN with MATCH, which reads keys in parts",
    "SORT": "it can read other keys; send LRANGE, SSCAN or ZRANGE",
    "SORT_RO": "it can read other keys; send LRANGE, SSCAN or ZRANGE",
    "XREAD": "send XRANGE, which never blocks",
    "HKEYS": "send HGETALL",
    "HVALS": "send HGETALL",
    "PFCOUNT": "it writes its count into the key",
    "EVAL": "scripts are not run",
    "EVAL_RO": "scripts are not run",
    "EVALSHA": "scripts are not run",
    "FCALL": "functions are not run",
    "FCALL_RO": "functions are not run",
}

_value = readers.value
COMMANDS: Final[dict[str, Command]] = {
    # Any type.
    "SCAN": Command("[MATCH pattern] [TYPE type]", (0, 4), "none", readers.scan),
    "EXISTS": Command("key …", (1, _MANY), "all", _value),
    "TYPE": Command("key", (1, 1), "first", _value),
    "TTL": Command("key", (1, 1), "first", _value),
    "PTTL": Command("key", (1, 1), "first", _value),
    "EXPIRETIME": Command("key", (1, 1), "first", _value),
    # Strings and bits.
    "GET": Command("key", (1, 1), "first", readers.get),
    "MGET": Command("key …", (1, _MANY), "all", readers.mget),
    "STRLEN": Command("key", (1, 1), "first", _value),
    "GETRANGE": Command("key start end", (3, 3), "first", _value),
    "GETBIT": Command("key offset", (2, 2), "first", _value),
    "BITCOUNT": Command("key [start end [BYTE|BIT]]", (1, 4), "first", _value),
    "BITPOS": Command("key bit [start [end [BYTE|BIT]]]", (2, 5), "first", _value),
    # Hashes.
    "HGET": Command("key field", (2, 2), "first", _value),
    "HMGET": Command("key field …", (2, _MANY), "first", readers.hmget),
    "HGETALL": Command("key", (1, 1), "first", readers.hscan),
    "HSCAN": Command("key [MATCH pattern]", (1, 3), "first", readers.hscan),
    "HLEN": Command("key", (1, 1), "first", _value),
    "HSTRLEN": Command("key field", (2, 2), "first", _value),
    "HEXISTS": Command("key field", (2, 2), "first", _value),
    # Lists.
    "LRANGE": Command("key start stop", (3, 3), "first", readers.lrange),
    "LINDEX": Command("key index", (2, 2), "first", _value),
    "LLEN": Command("key", (1, 1), "first", _value),
    # Sets.
    "SMEMBERS": Command("key", (1, 1), "first", readers.sscan),
    "SSCAN": Command("key [MATCH pattern]", (1, 3), "first", readers.sscan),
    "SCARD": Command("key", (1, 1), "first", _value),
    "SISMEMBER": Command("key member", (2, 2), "first", _value),
    # Sorted sets.
    "ZRANGE": Command(
        "key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]", (3, 9), "first", readers.zrange
    ),
    "ZSCAN": Command("key [MATCH pattern]", (1, 3), "first", readers.zscan),
    "ZSCORE": Command("key member", (2, 2), "first", _value),
    "ZRANK": Command("key member", (2, 2), "first", _value),
    "ZREVRANK": Command("key member", (2, 2), "first", _value),
    "ZCARD": Command("key", (1, 1), "first", _value),
    "ZCOUNT": Command("key min max", (3, 3), "first", _value),
    # Streams.
    "XRANGE": Command("key start end", (3, 3), "first", readers.xrange),
    "XREVRANGE": Command("key end start", (3, 3), "first", readers.xrange),
    "XLEN": Command("key", (1, 1), "first", _value),
    # Places.
    "GEOPOS": Command("key member …", (2, _MANY), "first", readers.geopos),
    "GEODIST": Command("key member member [M|KM|FT|MI]", (3, 4), "first", _value),
    "GEOSEARCH": Command(
        "key FROMMEMBER member|FROMLONLAT longitude latitude BYRADIUS radius unit|BYBOX width height unit [ASC|DESC]",
        (6, 9),
        "first",
        readers.geosearch,
    ),
}
"""All of them; none writes, blocks, runs a script, or reads a key that is not among its arguments."""
