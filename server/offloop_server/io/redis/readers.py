"""Readers of commands: each sends bounded commands and adds the replies as rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from offloop.errors import BadInput, LimitExceeded
from offloop_server.io.redis.guard import Keyspace
from offloop_server.io.redis.options import check_pattern, integer, matching, options, picked, span_of
from offloop_server.io.redis.session import Session
from offloop_server.io.redis.values import decoded, pairs
from offloop_server.io.redis.windows import Window, by_position, scanned
from offloop_server.io.results.rows import Rows

_FRAME: Final = 1 << 10
"""Bytes of a reply beside its value."""
_OVERHEAD: Final = 64
"""Bytes that an answer has beside the value."""


async def value(session: Session, _keys: Keyspace, name: str, arguments: list[bytes], into: Rows) -> None:
    """A command with one reply, sent as it is."""
    into.begin(["value"], [None])
    into.add([[decoded(await session.call(name, *arguments))]])


async def get(session: Session, _keys: Keyspace, _name: str, arguments: list[bytes], into: Rows) -> None:
    """The beginning of a string, up to the cap of bytes: it may have half a gigabyte.

    Raises:
        LimitExceeded: the value does not fit into a file.
    """
    [key] = arguments
    into.begin(["value"], ["string"])
    length = await session.call("STRLEN", key)
    if length == 0:
        into.add([[decoded(await session.call("GET", key))]])
        return
    most = into.max_bytes - _OVERHEAD
    if length > most and not into.cuts:
        raise _does_not_fit(length, most)
    found = await session.call("GETRANGE", key, 0, most - 1, limit=most + _FRAME)
    length = len(found) if len(found) < most else max(length, len(found))  # it may have changed since
    shown = decoded(_whole_text(found) if length > most else found)
    if isinstance(shown, bytes) and length > (fitting := most * 3 // 4):  # base64: four characters for three bytes
        if not into.cuts:
            raise _does_not_fit(length, fitting)
        shown = shown[:fitting]
    into.add_beginning(shown, length)


def _does_not_fit(length: int, most: int) -> LimitExceeded:
    message = f"The value has {length} bytes, and {most} fit. Read parts of it with GETRANGE, of at most 8 MiB each."
    return LimitExceeded(message)


async def mget(session: Session, _keys: Keyspace, _name: str, arguments: list[bytes], into: Rows) -> None:
    """Several strings, by key."""
    into.begin(["key", "value"], ["string", "string"])
    await _named(session, ["MGET"], arguments, into)


async def hmget(session: Session, _keys: Keyspace, _name: str, arguments: list[bytes], into: Rows) -> None:
    """Several fields of a hash."""
    into.begin(["field", "value"], ["string", "string"])
    await _named(session, ["HMGET", arguments[0]], arguments[1:], into)


async def hscan(session: Session, _keys: Keyspace, _name: str, arguments: list[bytes], into: Rows) -> None:
    """The fields of a hash."""
    into.begin(["field", "value"], ["string", "string"])
    await _expect(session, arguments[0], b"hash")
    async for elements in _once(scanned(session, "HSCAN", *matching(arguments)), 2):
        if not into.add([decoded(name), decoded(found)] for name, found in elements):
            return


async def sscan(session: Session, _keys: Keyspace, _name: str, arguments: list[bytes], into: Rows) -> None:
    """The members of a set."""
    into.begin(["member"], ["string"])
    await _expect(session, arguments[0], b"set")
    async for elements in _once(scanned(session, "SSCAN", *matching(arguments)), 1):
        if not into.add([decoded(member)] for [member] in elements):
            return


async def zscan(session: Session, _keys: Keyspace, _name: str, arguments: list[bytes], into: Rows) -> None:
    """The members of a sorted set, in no order."""
    into.begin(["member", "score"], ["string", "double"])
    await _expect(session, arguments[0], b"zset")
    async for elements in _once(scanned(session, "ZSCAN", *matching(arguments)), 2):
        if not into.add([decoded(member), float(score)] for member, score in elements):
            return


async def scan(session: Session, keyspace: Keyspace, _name: str, arguments: list[bytes], into: Rows) -> None:
    """The allowed keys, all or those that match a pattern."""
    into.begin(["key"], ["string"])
    given = options(arguments, {b"MATCH", b"TYPE"})
    check_pattern(given.get(b"MATCH", b""))
    kind = (b"TYPE", given[b"TYPE"]) if b"TYPE" in given else ()
    patterns = [given[b"MATCH"]] if b"MATCH" in given else keyspace.patterns()
    seen: set[bytes] = set()  # a scan may return a key more than once, and prefixes may overlap
    for pattern in patterns:
        async for keys in scanned(session, "SCAN", b"MATCH", pattern, *kind):
            new = [key for key in dict.fromkeys(keys) if key not in seen and keyspace.allows(key)]
            seen.update(new)
            if not into.add([decoded(key)] for key in new):
                return


async def lrange(session: Session, _keys: Keyspace, _name: str, arguments: list[bytes], into: Rows) -> None:
    """Elements of a list, with their positions."""
    key, start, stop = arguments
    into.begin(["index", "value"], ["integer", "string"])
    span = span_of(integer(start), integer(stop), await session.call("LLEN", key))

    async def fetch(position: int, count: int) -> Any:
        return await session.call("LRANGE", key, position, position + count - 1)

    await by_position(session, into, span, fetch, lambda position, element: [position, decoded(element)])


async def zrange(session: Session, _keys: Keyspace, _name: str, arguments: list[bytes], into: Rows) -> None:
    """Members of a sorted set, by position, score or name."""
    key, start, stop, *words = arguments
    by, words = picked([word.upper() for word in words], (b"BYSCORE", b"BYLEX"))
    reverse, words = picked(words, (b"REV",))
    _, words = picked(words, (b"WITHSCORES",))
    limit = options(words, {b"LIMIT"}, 2)
    scored = by != b"BYLEX"
    into.begin(["member", *(["score"] if scored else [])], ["string", *(["double"] if scored else [])])
    length = await session.call("ZCARD", key)
    if by:
        first, most = map(integer, limit.get(b"LIMIT", (b"0", b"-1")))
        span = range(first, length if most < 0 else min(length, first + most))
    elif limit:
        message = "ZRANGE takes LIMIT only with BYSCORE or BYLEX."
        raise BadInput(message)
    else:
        span = span_of(integer(start), integer(stop), length)

    async def fetch(position: int, count: int) -> Any:
        ends = (start, stop) if by else (position, position + count - 1)
        window = ("LIMIT", position, count) if by else ()
        rest = [*filter(None, (by, reverse)), *window, *(["WITHSCORES"] if scored else [])]
        found = await session.call("ZRANGE", key, *ends, *rest)
        return pairs(found) if scored else [(member,) for member in found]

    await by_position(
        session, into, span, fetch, lambda _, found: [decoded(found[0]), *(float(score) for score in found[1:])]
    )


async def xrange(session: Session, _keys: Keyspace, name: str, arguments: list[bytes], into: Rows) -> None:
    """Entries of a stream; their fields as an object, or as pairs where an object would lose some."""
    key, start, end = arguments
    into.begin(["id", "fields"], ["string", "object"])
    window = Window(session)
    while True:
        count = min(window.count, into.missing)
        entries = await session.call(name, key, start, end, "COUNT", count)
        if not into.add([decoded(number), _fields(fields)] for number, fields in entries):
            return
        if len(entries) < count:
            return
        start = b"(" + entries[-1][0]
        window.grow(count)


def _fields(flat: list[bytes]) -> dict[str, Any] | list[list[Any]]:
    """The fields of an entry, where a name may repeat, and need not be text."""
    found = [[decoded(name), decoded(content)] for name, content in pairs(flat)]
    names = {name for name, _ in found}
    if len(names) < len(found) or any(isinstance(name, bytes) for name in names):
        return found
    return dict(found)


async def geopos(session: Session, _keys: Keyspace, name: str, arguments: list[bytes], into: Rows) -> None:
    """Longitude and latitude of members."""
    key, *members = arguments
    into.begin(["member", "longitude", "latitude"], ["string", "double", "double"])
    found = await session.call(name, key, *members)
    into.add(
        [decoded(member), *(map(float, place) if place else (None, None))]
        for member, place in zip(members, found, strict=True)
    )


async def geosearch(session: Session, _keys: Keyspace, name: str, arguments: list[bytes], into: Rows) -> None:
    """The nearest members, with their distances."""
    if unknown := {word.upper() for word in arguments[1:]} & {b"COUNT", b"ANY", b"WITHCOORD", b"WITHDIST", b"WITHHASH"}:
        message = f"GEOSEARCH takes no {min(unknown).decode()} here: max_rows bounds the answer, which has distances."
        raise BadInput(message)
    into.begin(["member", "distance"], ["string", "double"])
    found = await session.call(name, *arguments, "COUNT", into.missing, "WITHDIST")
    into.add([decoded(member), float(distance)] for member, distance in found)


async def _named(session: Session, head: list[bytes | str], names: list[bytes], into: Rows) -> None:
    """The values of named keys or fields."""

    async def fetch(position: int, count: int) -> Any:
        return await session.call(*head, *names[position : position + count])

    await by_position(
        session, into, range(len(names)), fetch, lambda position, found: [decoded(names[position]), decoded(found)]
    )


async def _once(replies: AsyncIterator[list[bytes]], width: int) -> AsyncIterator[list[list[bytes]]]:
    """The elements of a scan, each once: a scan may repeat them while the server resizes the table.

    Args:
        replies: of the scan.
        width: values of an element; the first one identifies it.
    """
    seen: set[bytes] = set()
    async for flat in replies:
        elements = {flat[at]: flat[at : at + width] for at in range(0, len(flat), width)}
        new = [element for name, element in elements.items() if name not in seen]
        seen.update(elements)
        yield new


async def _expect(session: Session, key: bytes, kind: bytes) -> None:
    """Check the type before a scan, whose first reply would be the only check.

    Raises:
        BadInput: the key has another type.
    """
    found = await session.call("TYPE", key)
    if found not in (kind, b"none"):
        message = f"The key has the type {found.decode()}, not {kind.decode()}. Send a command for that type."
        raise BadInput(message)


def _whole_text(found: bytes) -> bytes:
    """The bytes without a character of UTF-8 that was cut in the middle."""
    for end in range(len(found), max(0, len(found) - 4), -1):
        try:
            found[:end].decode()
        except UnicodeDecodeError:
            continue
        return found[:end]
    return found
