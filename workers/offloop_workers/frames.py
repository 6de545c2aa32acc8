"""What passes between a worker, its zygote and their children: length-prefixed msgpack over a socket pair."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any, Final

from offloop.wire import pack, unpack

if TYPE_CHECKING:
    import asyncio

_LENGTH: Final = struct.Struct("!I")
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
    (length,) = _LENGTH.unpack(_exactly(sock, _LENGTH.size))
    found: dict[str, Any] = unpack(_exactly(sock, length))
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


def _exactly(sock: socket.socket, length: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < length:
        piece = sock.recv(min(length - len(pieces), 1 << 20))
        if not piece:
            raise EOFError
        pieces += piece
    return bytes(pieces)
