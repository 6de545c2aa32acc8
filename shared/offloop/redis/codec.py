"""Codec: msgpack for what travels through Redis. Never pickle."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgpack

from offloop.errors import JobError

_CANCELLED, _FAILED = 1, 2


def _encode(value: object) -> msgpack.ExtType:
    match value:
        case asyncio.CancelledError():
            return msgpack.ExtType(_CANCELLED, b"")
        case JobError():
            return msgpack.ExtType(_FAILED, pack(value.to_wire()))
        case BaseException():
            return msgpack.ExtType(_FAILED, pack(JobError(f"{type(value).__name__}: {value}"[:2000]).to_wire()))
    message = f"{type(value).__name__} cannot travel through Redis"
    raise TypeError(message)


def _decode(code: int, data: bytes) -> object:
    match code:
        case 1:
            return asyncio.CancelledError()
        case 2:
            # Plain data: decoded with this hook, values within values would recurse until the process crashes.
            failure = msgpack.unpackb(data, strict_map_key=False)
            return JobError(failure["message"], code=failure["code"], retryable=failure["retryable"])
    return msgpack.ExtType(code, data)


def pack(value: Any) -> bytes:
    """Encode plain data, `JobError` and `CancelledError` as msgpack.

    Raises:
        TypeError: the value holds something else.
    """
    packed: bytes = msgpack.packb(value, default=_encode)
    return packed


def unpack(data: bytes) -> Any:
    """Decode what `pack` made; lists stay lists."""
    return msgpack.unpackb(data, ext_hook=_decode, strict_map_key=False)


def pack_for_lua(value: dict[str, Any]) -> bytes:
    """Encode a script's argument; Lua's cmsgpack knows only one sort of string."""
    packed: bytes = msgpack.packb(value, use_bin_type=False)
    return packed


def unpack_row(row: bytes, *, binary: Iterable[str]) -> dict[str, Any]:
    """Decode one row of a script's answer as values by field.

    Args:
        row: a map from Lua's cmsgpack, which knows only byte strings.
        binary: fields of byte strings, or of lists of them; all others are text.
    """
    # Decoded in C, there and back: one by one in Python, a claim's fields would take twice as long.
    fields: dict[str, Any] = msgpack.unpackb(row, raw=False, unicode_errors="surrogateescape")
    for name in binary:
        if name in fields:
            fields[name] = _bytes(fields[name])
    return fields


def _bytes(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    return [_bytes(each) for each in value] if isinstance(value, list) else value


def unpack_order(message: bytes) -> list[Any]:
    """Decode a message on a worker's control channel, see `offloop.redis.scripts`."""
    order: list[Any] = msgpack.unpackb(message, raw=True, strict_map_key=False)
    return order


def unpack_push(message: bytes) -> tuple[str, Any]:
    """Decode a push of Lua's cmsgpack, which knows only byte strings: the id, and a snapshot."""
    job_id, snapshot = msgpack.unpackb(message, raw=True, strict_map_key=False)
    return job_id.decode(), snapshot


def timestamp(ms: int) -> str:
    """Milliseconds since 1970 in ISO 8601, UTC."""
    return f"{_second(ms // 1000)}.{ms % 1000:03}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """Cached: the times of concurrent jobs lie within few seconds, and an answer has four of them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
