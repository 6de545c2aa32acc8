"""Uploads: request bodies streamed to a temporary file, hashed and bounded on the way.

Parsing, hashing and writing run in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import unquote

from starlette.datastructures import Headers

from offloop import logs
from offloop.errors import BadInput, LimitExceeded, Unavailable

MIME_TYPE: Final = r"^[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}$"
ANY_TYPE: Final = "application/octet-stream"
NAME_HEADER: Final = "X-File-Name"
_FOLDER: Final = "offloop-upload-"
_UNTYPED: Final = ("", "application/x-www-form-urlencoded")
"""Defaults of clients that were given no type."""
_BUFFER: Final = 1 << 20
"""Bytes that are collected for one write."""

log = logs.get(__name__)


class Sink:
    """Writes, hashes and counts the bytes of a file. Its methods block.

    Args:
        file: open for writing.
        max_bytes: the largest file.

    Attributes:
        size: bytes so far.
        name: the name that the client sent, unchecked.
        mime_type: the media type that the client sent, or `ANY_TYPE`.
    """

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self.size = 0
        self.name = ""
        self.mime_type = ANY_TYPE

    def feed(self, data: bytes | memoryview) -> None:
        """Write a piece.

        Raises:
            LimitExceeded: the file is too large.
        """
        self.size += len(data)
        if self.size > self._max_bytes:
            raise too_large(self._max_bytes)
        self._digest.update(data)
        self._file.write(data)

    def end(self) -> str:
        """End the body; returns the SHA-256 of the file.

        Raises:
            BadInput: the file is empty or incomplete.
        """
        if not self.size:
            message = "the upload has no bytes; send the file as the body of the request"
            raise BadInput(message)
        return self._digest.hexdigest()


def raw_sink(headers: Headers, file: BinaryIO, max_bytes: int) -> Sink:
    """The sink for a raw body with these headers."""
    raw = Sink(file, max_bytes)
    raw.name = unquote(headers.get(NAME_HEADER, ""))
    raw.mime_type = checked_type(headers.get("content-type", ""))
    return raw


async def receive(stream: AsyncIterator[bytes], into: Sink, max_body: int, *, max_bytes: int) -> str:
    """Feed a body to a sink; returns the SHA-256 of the file.

    Args:
        stream: the body in pieces.
        into: the sink.
        max_body: largest body, in bytes.
        max_bytes: largest file, in bytes, for the message.

    Raises:
        BadInput: the body has no file.
        LimitExceeded: the body or the file is too large.
        Unavailable: the disk of this machine is full or fails.
    """
    buffer, size = bytearray(), 0
    try:
        async for piece in stream:
            size += len(piece)
            if size > max_body:
                raise too_large(max_bytes)
            buffer += piece
            if len(buffer) >= _BUFFER:
                await asyncio.to_thread(into.feed, bytes(buffer))
                buffer.clear()
        await asyncio.to_thread(into.feed, bytes(buffer))
        return await asyncio.to_thread(into.end)
    except OSError as error:
        log.warning("upload could not be written", error=error.strerror)
        message = (
            "The server has no room to take the upload in at the moment. Try again; if it goes on, ask the operator."
        )
        raise Unavailable(message) from error


def folder() -> tempfile.TemporaryDirectory[str]:
    """A temporary folder for one upload."""
    return tempfile.TemporaryDirectory(prefix=_FOLDER)


def sweep(older_than: float = 86_400) -> int:
    """Delete folders of uploads that killed front ends left behind; returns their number. Blocks.

    Args:
        older_than: seconds without a change after which an upload counts as abandoned.
    """
    count = 0
    for path in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        with contextlib.suppress(OSError):
            changed = max(one.lstat().st_mtime for one in (path, *path.iterdir()))
            if path.lstat().st_uid == os.getuid() and changed < time.time() - older_than:
                shutil.rmtree(path)
                count += 1
    return count


def open_new(directory: str) -> tuple[Path, BinaryIO]:
    """Create the file of an upload; returns its path and the open file."""
    path = Path(directory) / "bytes"
    return path, path.open("xb")


def too_large(max_bytes: int) -> LimitExceeded:
    """The error for an upload beyond the limit."""
    return LimitExceeded(f"An upload may have {max_bytes} bytes (OFFLOOP_MAX_UPLOAD_MB); send a smaller file.")


def checked_type(header: str) -> str:
    """The media type of a Content-Type header; `ANY_TYPE` if it is missing, invalid, or a client's default."""
    found = header.partition(";")[0].strip()
    return found if found.lower() not in _UNTYPED and re.fullmatch(MIME_TYPE, found) else ANY_TYPE
