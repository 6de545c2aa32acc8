"""Format detection by the first bytes of a file, whatever its name."""

from __future__ import annotations

from typing import Final

from offloop.errors import JobError

ACCEPTED: Final = "JPEG, PNG, WebP, AVIF, HEIC, GIF, TIFF, BMP or ICO"
HEAD: Final = 64
"""Bytes that the detection needs."""

# Offset, magic bytes, and Pillow's name of the only decoder that may read such a file.
_DECODERS: Final = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (0, b"BM", "BMP"),
    (0, b"\x00\x00\x01\x00", "ICO"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (4, b"ftypheic", "HEIF"),
    (4, b"ftypheix", "HEIF"),
    (4, b"ftypheim", "HEIF"),
    (4, b"ftypheis", "HEIF"),
    (4, b"ftyphevc", "HEIF"),
    (4, b"ftyphevx", "HEIF"),
)
# Files that callers send by mistake, to be named in the error message.
_OTHERS: Final = (
    (0, b"%PDF", "a PDF (preview_pdf makes pictures of its pages)"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "an XML document (SVG?)"),
    (0, b"<!doctype", "an HTML page"),
    (0, b"<html", "an HTML page"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"icns", "an Apple icon (ICNS)"),
    (4, b"jP  ", "a JPEG 2000 picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (4, b"JXL ", "a JPEG XL picture"),
    (4, b"ftypiso", "a video"),
    (4, b"ftypmp4", "a video"),
    (4, b"ftypqt", "a video"),
    (0, b"\x1aE\xdf\xa3", "a video"),
    (0, b"\x1f\x8b", "a gzip archive"),
)


def decoder_for(head: bytes) -> str:
    """Pillow's name of the one decoder that may read a file with these first bytes.

    Raises:
        JobError: ``not_an_image``: empty, not a picture, or of a format that is not accepted.
    """
    if not head:
        message = "The picture is empty: 0 bytes. Send the file itself."
        raise JobError(message, code="not_an_image")
    for offset, magic, name in _DECODERS:
        if head[offset : offset + len(magic)] == magic:
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:12] in {b"ftypmif1", b"ftypmsf1"}:  # the brand of both; the compatible brands decide
        return "AVIF" if b"avif" in head[16:] or b"avis" in head[16:] else "HEIF"
    raise not_accepted(head)


def not_accepted(head: bytes) -> JobError:
    """The error for a file that is not an accepted picture, with its type where that is known."""
    start = head.lstrip()
    for offset, magic, name in _OTHERS:
        if start[offset : offset + len(magic)].lower() == magic.lower():
            message = f"The file is {name}; pictures may be {ACCEPTED}. Convert it first."
            return JobError(message, code="not_an_image")
    message = f"The file is not a picture, or its first bytes are damaged; pictures may be {ACCEPTED}."
    return JobError(message, code="not_an_image")
