"""Known jobs with known results: what a worker must still do right after it has met a hostile case."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

from hostile import pdf_files
from hostile.arena import Arena
from offloop.artifacts.store import Artifact
from offloop.kinds import catalogue
from offloop.queue.record import Done
from support.files.pictures import corners, encoded, quarters
from support.files.rendered import Document

_WORDS: Final = "An honest page"


@dataclass(frozen=True, slots=True)
class Honest:
    """One job, and what to say of its result.

    Attributes:
        kind: what it is sent to.
        arguments: what is sent.
        right: whether an output, and the bytes of the file made, are what they must be.
    """

    kind: str
    arguments: dict[str, Any]
    right: Callable[[dict[str, Any], bytes], bool]


def _picture_is_right(output: dict[str, Any], content: bytes) -> bool:
    with Image.open(io.BytesIO(content)) as picture:
        return (output["width"], output["height"]) == picture.size == (40, 20) and corners(picture) == "rgbw"


def _page_is_right(output: dict[str, Any], content: bytes) -> bool:
    return output["pages"] == 1 and Document(content).text.split() == _WORDS.split()


def _data(content: bytes) -> str:
    return f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"


def _written() -> bytes:
    resources = b"<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
    page = pdf_files.PAGE.replace(b"/Resources<<>>", b"/Resources" + resources)
    words = pdf_files.stream(b"BT /F 12 Tf 20 100 Td (%b) Tj ET" % _WORDS.encode())
    return pdf_files.raw(pdf_files.CATALOG, pdf_files.ONE_PAGE, page, words)


_HASH = Honest(
    "hash_file", {"file": "data:,hello"}, lambda output, _: hashlib.sha256(b"hello").hexdigest() in str(output)
)
_IMAGE = Honest(
    "transform_image", {"image": _data(encoded("PNG", quarters())), "width": 40, "format": "png"}, _picture_is_right
)
_DOCUMENT = Honest("extract_pdf_text", {"file": _data(_written())}, lambda output, _: _WORDS in str(output))
_PAGE = Honest("render_pdf", {"html": f"<p>{_WORDS}", "page_numbers": False}, _page_is_right)


_JOBS: Final = {"pdf": _DOCUMENT, "image": _IMAGE, "hash": _HASH}


def known(kind: str) -> Honest:
    """The job that tells whether the family of a kind is sound."""
    return _PAGE if kind == "render_pdf" else _JOBS[catalogue.load()[kind].queue]


async def is_done_right(arena: Arena, kind: str) -> bool:
    """Whether the children still do the honest job of this kind's family."""
    one = known(kind)
    outcome = await arena.perform(one.kind, one.arguments)
    assert isinstance(outcome, Done), outcome
    content = b""
    for made in outcome.artifacts:
        content = b"".join([piece async for piece in arena.store.stream(Artifact(**made))])
    return one.right(outcome.output, content)
