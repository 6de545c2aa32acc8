"""What passes between a worker, its zygote and their children: length-prefixed msgpack over a socket pair."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any, Final

from offloop.wire import pack, unpack

if TYPE_CHECKING:
    import asyncio

_LENGTH: Final = struct.Struct("!I")
_PIECE: Final = 1 << 16
MAX_FRAME: Final = 64 << 20
"""Bytes; a longer frame can only come from a child that does not keep to the protocol, and ends it."""


class OversizedError(ValueError):
    """A frame claims to be longer than `MAX_FRAME`."""


def encode(value: dict[str, Any]) -> bytes:
    """One frame."""
    body = pack(value)
    return _LENGTH.pack(len(body)) + body


def send(sock: socket.socket, value: dict[str, Any]) -> None:
    """Write one frame; blocks."""
    sock.sendall(encode(value))


def receive(sock: socket.socket) -> dict[str, Any]:
    """Read one frame; blocks.

    Raises:
        EOFError: the other side is gone.
    """
    # Each side waits for the other's answer, so there is never more than one frame to read; most come in one piece.
    data = bytearray(sock.recv(_PIECE))
    while len(data) < _LENGTH.size or len(data) < _LENGTH.size + _LENGTH.unpack_from(data)[0]:
        piece = sock.recv(_PIECE)
        if not piece:
            raise EOFError
        data += piece
    found: dict[str, Any] = unpack(bytes(data[_LENGTH.size :]))
    return found


async def read(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Read one frame.

    Raises:
        asyncio.IncompleteReadError: the other side is gone.
        OversizedError: the other side does not keep to the protocol.
    """
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > MAX_FRAME:
        message = f"a frame of {length} bytes, the limit is {MAX_FRAME}"
        raise OversizedError(message)
    found: dict[str, Any] = unpack(await reader.readexactly(length))
    return found
