"""Multipart forms: one whole file passes in any pieces, and the headers of a part are bounded."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from offloop.errors import BadInput, LimitExceeded
from offloop_server.web.forms import FormSink

HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
TAIL = b"\r\n--b--\r\n"
CONTENT = b"\r\n--bytes--\r\n" * 50
KIBIBYTE = 1024


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_a_form_is_read_alike_in_pieces_of_any_size(tmp_path: Path, size: int) -> None:
    body = HEAD + CONTENT + TAIL
    with (tmp_path / "file").open("xb") as file:
        sink = FormSink(file, len(CONTENT), b"b")
        for start in range(0, len(body), size):
            sink.feed(body[start : start + size])
        assert sink.end() == hashlib.sha256(CONTENT).hexdigest()
    assert (sink.name, sink.mime_type, sink.size) == ("a.png", "image/png", len(CONTENT))
    assert (tmp_path / "file").read_bytes() == CONTENT


def feed_all(sink: FormSink, pieces: list[bytes]) -> None:
    """Feed the pieces one by one."""
    for piece in pieces:
        sink.feed(piece)


@pytest.mark.parametrize(
    "piece", [b"y" * KIBIBYTE, b"a: b\r\n" * 4], ids=["one header without end", "headers without end"]
)
@pytest.mark.parametrize("begin", [b"--b\r\nX: ", b"--b\r\nX"], ids=["value", "name"])
def test_endless_headers_of_a_part_are_refused_within_kibibytes(tmp_path: Path, begin: bytes, piece: bytes) -> None:
    with (tmp_path / "file").open("xb") as file:
        sink = FormSink(file, 1 << 30, b"b")
        sink.feed(begin)
        with pytest.raises(BadInput, match="the multipart form cannot be read"):
            feed_all(sink, [piece] * 16)


def test_a_file_beyond_the_limit_is_refused_with_the_piece_that_exceeds_it(tmp_path: Path) -> None:
    with (tmp_path / "file").open("xb") as file:
        sink = FormSink(file, KIBIBYTE, b"b")
        sink.feed(HEAD + b"x" * KIBIBYTE)
        with pytest.raises(LimitExceeded, match="An upload may have 1024 bytes"):
            sink.feed(b"x" * 10)
        assert file.tell() == KIBIBYTE
