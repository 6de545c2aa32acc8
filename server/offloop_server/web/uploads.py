"""Files that come in over HTTP: a body, raw or a form's, written to disk piece by piece with a bound, never held whole.

All that costs time (parsing a form, hashing, writing) happens in a thread.
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

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers

from offloop import logs
from offloop.errors import BadInput, LimitExceeded, Unavailable

MIME_TYPE: Final = r"^[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}$"
ANY_TYPE: Final = "application/octet-stream"
NAME_HEADER: Final = "X-File-Name"
_FORM: Final = "multipart/form-data"
_FOLDER: Final = "offloop-upload-"
_UNTYPED: Final = ("", "application/x-www-form-urlencoded")
"""What clients say of a body when nobody told them its type."""

_WRITE: Final = 1 << 20
ENVELOPE: Final = 64 << 10
"""Bytes that a form may have around its file."""

log = logs.get(__name__)


class Sink:
    """The file on disk: written, hashed and counted. Its methods block.

    Args:
        file: open for writing.
        max_bytes: the most it may have.
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
            LimitExceeded: that would be too much.
        """
        self.size += len(data)
        if self.size > self._max_bytes:
            raise too_large(self._max_bytes)
        self._digest.update(data)
        self._file.write(data)

    def end(self) -> str:
        """All has come; answers the SHA-256.

        Raises:
            BadInput: nothing has.
        """
        if not self.size:
            message = "the upload has no bytes; send the file as the body of the request"
            raise BadInput(message)
        return self._digest.hexdigest()


class FormSink(Sink):
    """The one file of a ``multipart/form-data`` body.

    Args:
        file: open for writing.
        max_bytes: the most the file may have.
        boundary: from the Content-Type.
    """

    def __init__(self, file: BinaryIO, max_bytes: int, boundary: bytes) -> None:
        """Prepare the parser.

        Raises:
            BadInput: the boundary is not one.
        """
        super().__init__(file, max_bytes)
        self._headers: dict[str, bytes] = {}
        self._field, self._value = bytearray(), bytearray()
        self._files = 0
        self._closed = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                    "on_header_end": self._header,
                    "on_headers_finished": self._part,
                    "on_end": self._close,
                    "on_part_data": lambda data, start, end: super(FormSink, self).feed(memoryview(data)[start:end]),
                },
            )
        except FormParserError:
            raise _bad_form() from None

    def feed(self, data: bytes | memoryview) -> None:
        """Parse a piece of the form."""
        try:
            self._parser.write(bytes(data))
        except FormParserError:
            raise _bad_form() from None

    def end(self) -> str:
        """The form has ended."""
        if not (self._files and self._closed):  # without its last line, who knows what else is missing
            raise _bad_form()
        return super().end()

    def _close(self) -> None:
        self._closed = True

    def _header(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _part(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        name = options.get(b"filename")
        self._files += 1
        if name is None or self._files > 1:
            message = "the form must have one part, the file: curl -F file=@photo.jpg. Send each file on its own."
            raise BadInput(message)
        self.name = name.decode("utf-8", "replace")
        self.mime_type = _mime_type(self._headers.get("content-type", b"").decode("latin-1"))
        self._headers.clear()


def sink(headers: Headers, file: BinaryIO, max_bytes: int) -> tuple[Sink, int]:
    """What takes in a body with these headers, and how many bytes such a body may have.

    Raises:
        BadInput: the form cannot be read.
    """
    content_type = headers.get("content-type", "")
    kind, options = parse_options_header(content_type)
    if kind.decode("latin-1").lower() == _FORM:
        return FormSink(file, max_bytes, options.get(b"boundary", b"")), max_bytes + ENVELOPE
    raw = Sink(file, max_bytes)
    raw.name = unquote(headers.get(NAME_HEADER, ""))
    raw.mime_type = _mime_type(content_type)
    return raw, max_bytes


async def receive(stream: AsyncIterator[bytes], into: Sink, most: int, *, max_bytes: int) -> str:
    """Take in a body; answers the file's SHA-256.

    Args:
        stream: the body in pieces.
        into: what takes it.
        most: bytes the body may have.
        max_bytes: bytes the file may have, for the message.

    Raises:
        BadInput: there is no file in it.
        LimitExceeded: it has too many bytes.
        Unavailable: this machine's disk does not take it.
    """
    held, size = bytearray(), 0
    try:
        async for piece in stream:
            size += len(piece)
            if size > most:
                raise too_large(max_bytes)
            held += piece
            if len(held) >= _WRITE:
                await asyncio.to_thread(into.feed, bytes(held))
                held.clear()
        await asyncio.to_thread(into.feed, bytes(held))
        return await asyncio.to_thread(into.end)
    except OSError as error:
        log.warning("an upload could not be written", error=error.strerror)
        message = (
            "The server has no room to take the upload in at the moment. Try again; if it goes on, ask the operator."
        )
        raise Unavailable(message) from error


def folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for one upload, deleted with the block."""
    return tempfile.TemporaryDirectory(prefix=_FOLDER)


def sweep(older_than: float = 86_400) -> int:
    """Delete what front ends that were killed left of uploads; answers how much there was. Blocks.

    Args:
        older_than: seconds without a change after which an upload is not going on any more.
    """
    count = 0
    for path in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        with contextlib.suppress(OSError):
            changed = max(one.lstat().st_mtime for one in (path, *path.iterdir()))
            if path.lstat().st_uid == os.getuid() and changed < time.time() - older_than:
                shutil.rmtree(path)
                count += 1
    return count


def open_new(place: str) -> tuple[Path, BinaryIO]:
    """A new file in a folder, and its path."""
    path = Path(place) / "bytes"
    return path, path.open("xb")


def too_large(max_bytes: int) -> LimitExceeded:
    """The one sentence for an upload beyond the limit."""
    return LimitExceeded(f"An upload may have {max_bytes} bytes (OFFLOOP_MAX_UPLOAD_MB); send a smaller file.")


def _mime_type(header: str) -> str:
    found = header.partition(";")[0].strip()
    return found if found.lower() not in _UNTYPED and re.fullmatch(MIME_TYPE, found) else ANY_TYPE


def _bad_form() -> BadInput:
    return BadInput(
        "the multipart form cannot be read: send one file, as curl -F file=@photo.jpg does, or the bytes themselves as "
        f"the body with the headers Content-Type and {NAME_HEADER}."
    )
