"""Jobs with known results, which a worker must still produce after a hostile case."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

from hostile import pdf_files
from hostile.harness import Harness
from offloop.artifacts.store import Artifact
from offloop.kinds import catalogue
from offloop.queue.record import Done
from support.files.pictures import corners, encoded, quarters
from support.files.rendered import Document

_TEXT: Final = "A known page"


@dataclass(frozen=True, slots=True)
class KnownJob:
    """A job with a check of its result.

    Attributes:
        kind: kind of the job.
        arguments: its arguments.
        right: check of the output and of the bytes of its file.
    """

    kind: str
    arguments: dict[str, Any]
    right: Callable[[dict[str, Any], bytes], bool]


def _picture_is_right(output: dict[str, Any], content: bytes) -> bool:
    with Image.open(io.BytesIO(content)) as picture:
        return (output["width"], output["height"]) == picture.size == (40, 20) and corners(picture) == "rgbw"


def _page_is_right(output: dict[str, Any], content: bytes) -> bool:
    return output["pages"] == 1 and Document(content).text.split() == _TEXT.split()


def _data(content: bytes) -> str:
    return f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"


def _written() -> bytes:
    resources = b"<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
    page = pdf_files.PAGE.replace(b"/Resources<<>>", b"/Resources" + resources)
    words = pdf_files.stream(b"BT /F 12 Tf 20 100 Td (%b) Tj ET" % _TEXT.encode())
    return pdf_files.raw(pdf_files.CATALOG, pdf_files.ONE_PAGE, page, words)


_HASH = KnownJob(
    "hash_file", {"file": "data:,hello"}, lambda output, _: hashlib.sha256(b"hello").hexdigest() in str(output)
)
_IMAGE = KnownJob(
    "transform_image", {"image": _data(encoded("PNG", quarters())), "width": 40, "format": "png"}, _picture_is_right
)
_DOCUMENT = KnownJob("extract_pdf_text", {"file": _data(_written())}, lambda output, _: _TEXT in str(output))
_PAGE = KnownJob("render_pdf", {"html": f"<p>{_TEXT}", "page_numbers": False}, _page_is_right)


_SEARCH = KnownJob(
    "search_text",
    {"patterns": [r"(?P<word>\w+)!", r"(o)\1"], "text": "hello\nbye, moon!"},
    lambda output, _: [line["line"] for line in output["matches"]] == [2] and output["matches_total"] == 2,
)
_JOBS: Final = {"pdf": _DOCUMENT, "image": _IMAGE, "hash": _HASH, "search": _SEARCH}


def known(kind: str) -> KnownJob:
    """The known job of the family of a kind."""
    return _PAGE if kind == "render_pdf" else _JOBS[catalogue.load()[kind].queue]


async def still_works(harness: Harness, kind: str) -> bool:
    """Whether the children still run the known job of this kind's family."""
    one = known(kind)
    outcome = await harness.perform(harness.kinds[one.kind], one.arguments)
    assert isinstance(outcome, Done), outcome
    content = b""
    for artifact in outcome.artifacts:
        content = b"".join([piece async for piece in harness.store.stream(Artifact(**artifact))])
    return one.right(outcome.output, content)
