"""Frames between a worker and a child: length-prefixed msgpack over a socket pair."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, Final, cast

from offloop.redis.codec import pack, unpack

_LENGTH: Final = struct.Struct("!I")
_PIECE: Final = 1 << 16
MAX_FRAME: Final = 64 << 20
"""Bytes; a longer frame breaks the protocol, and its child is ended."""


class ProtocolError(ValueError):
    """The other side does not keep to the protocol."""


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


class FrameStream(asyncio.Protocol):
    """The worker's end of a child's socket, read by one task at a time.

    Streams would do; they take twice as long for an answer of a few bytes, for each frame wakes its reader twice.

    Attributes:
        over: nothing more will come; what has come can still be read.
    """

    def __init__(self) -> None:
        self.over = False
        self._loop = asyncio.get_running_loop()
        self._data = bytearray()
        self._wanted = _LENGTH.size
        self._waiting: asyncio.Future[None] | None = None
        self._paused = False
        self._error: Exception | None = None

    def write(self, value: dict[str, Any]) -> None:
        """Send one frame.

        Raises:
            ConnectionError: the child has left, whatever it may have sent before.
        """
        if self.over or self._transport.is_closing():
            raise self._error if isinstance(self._error, ConnectionError) else ConnectionResetError
        self._transport.write(encode(value))

    async def read(self) -> dict[str, Any]:
        """The next frame.

        Raises:
            EOFError: the child has left.
            ConnectionError: it has left with something unread in its socket.
            ProtocolError: its frame is longer than `MAX_FRAME`, or is no map in msgpack.
        """
        while (frame := self._frame()) is None:
            if self.over:
                raise self._error or EOFError
            if self._paused:
                self._paused = False
                self._transport.resume_reading()
            self._waiting = self._loop.create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        return frame

    def close(self) -> None:
        """Close it. Safe to call twice."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Wake the reader once its frame is whole; apply backpressure where no reader waits."""
        self._data += data
        if len(self._data) >= self._wanted and not self._wake() and len(self._data) > _PIECE:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Wake the reader, and close."""
        self.over = True
        self._wake()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Wake the reader."""
        self.over, self._error = True, error
        self._wake()

    def _wake(self) -> bool:
        if self._waiting is None or self._waiting.done():
            return False
        self._waiting.set_result(None)
        return True

    def _frame(self) -> dict[str, Any] | None:
        if len(self._data) < _LENGTH.size:
            self._wanted = _LENGTH.size
            return None
        (length,) = _LENGTH.unpack_from(self._data)
        if length > MAX_FRAME:
            message = f"a frame of {length} bytes, the limit is {MAX_FRAME}"
            raise ProtocolError(message)
        self._wanted = _LENGTH.size + length
        if len(self._data) < self._wanted:
            return None
        found = _unpacked(bytes(self._data[_LENGTH.size : self._wanted]))
        del self._data[: self._wanted]
        self._wanted = _LENGTH.size
        return found


def _unpacked(body: bytes) -> dict[str, Any]:
    try:
        found = unpack(body)
    except Exception:  # noqa: BLE001 -- a document may have taken the child over, and msgpack raises many types
        found = None
    if not isinstance(found, dict):
        message = "a frame that is no map in msgpack"
        raise ProtocolError(message)
    return found
