"""Multipart forms with one file, read by python-multipart's streaming parser.

The parser bounds the headers of a part, `uploads` bounds the file and the body, so a form costs no more memory than a
raw body. It stays beside PUT and raw POST for clients that upload no other way: ``curl -F``, ``FormData`` in browsers,
and the file nodes of workflow tools.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from offloop.charsets.text import decoded
from offloop.errors import BadInput
from offloop_server.web.uploads import NAME_HEADER, Sink, checked_type, raw_sink

if TYPE_CHECKING:
    from starlette.datastructures import Headers

ENVELOPE: Final = 64 << 10
"""Bytes of a form around its file."""
_TYPE: Final = "multipart/form-data"
_MAX_HEADERS: Final = 8
_MAX_HEADER: Final = 4096
"""Bytes of one header of the part; clients send two short ones."""


def sink(headers: Headers, file: BinaryIO, max_bytes: int) -> tuple[Sink, int]:
    """The sink for a request with these headers, and the largest body it may have, in bytes.

    Raises:
        BadInput: the boundary of the form is invalid.
    """
    content_type, options = parse_options_header(headers.get("content-type", ""))
    if content_type.decode("latin-1").lower() == _TYPE:
        return FormSink(file, max_bytes, options.get(b"boundary", b"")), max_bytes + ENVELOPE
    return raw_sink(headers, file, max_bytes), max_bytes


class FormSink(Sink):
    """The one file of a ``multipart/form-data`` body.

    Args:
        file: open for writing.
        max_bytes: the largest file.
        boundary: from the Content-Type.

    Raises:
        BadInput: the boundary is invalid.
    """

    def __init__(self, file: BinaryIO, max_bytes: int, boundary: bytes) -> None:
        super().__init__(file, max_bytes)
        self._field, self._value = bytearray(), bytearray()
        self._headers: dict[str, str] = {}
        self._parts = 0
        self._closed = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_part,
                    "on_part_data": lambda data, start, end: super(FormSink, self).feed(memoryview(data)[start:end]),
                    "on_end": self._end_form,
                },
                max_header_count=_MAX_HEADERS,
                max_header_size=_MAX_HEADER,
            )
        except FormParserError:
            raise _bad_form() from None

    def feed(self, data: bytes | memoryview) -> None:
        """Parse a piece of the form.

        Raises:
            BadInput: it is not a form with one file.
            LimitExceeded: the file is too large.
        """
        try:
            self._parser.write(bytes(data))
        except FormParserError:
            raise _bad_form() from None

    def end(self) -> str:
        if not (self._parts and self._closed):  # no closing boundary: the body is truncated
            raise _bad_form()
        return super().end()

    def _end_header(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._field.clear()
        self._value.clear()

    def _begin_part(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", ""))
        name = options.get(b"filename")
        self._parts += 1
        if name is None or self._parts > 1:
            message = "the form must have one part, the file: curl -F file=@photo.jpg. Send each file on its own."
            raise BadInput(message)
        self.name = decoded(name).text
        self.mime_type = checked_type(self._headers.get("content-type", ""))

    def _end_form(self) -> None:
        self._closed = True


def _bad_form() -> BadInput:
    return BadInput(
        "the multipart form cannot be read: send one file, as curl -F file=@photo.jpg does, or the bytes themselves as "
        f"the body with the headers Content-Type and {NAME_HEADER}."
    )
