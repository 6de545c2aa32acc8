"""Pictures in PDFs, as stamps and in documents: every way to store an orientation, every layout, and losses."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pikepdf
import pytest
from PIL import Image

from offloop.errors import JobError
from offloop.jobs.documents import Edit
from offloop.jobs.pdf import Page
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.editing.edit import edit
from offloop_workers.pdf.rendering.render import render
from support.files import blocks, oriented, pdfs, profiles
from support.files.pictures import corners, encoded, quarters
from support.files.rendered import Document, data

SIDE = 40
ACROSS = 20
STEPS = 30
"""The most operations of one edit."""

Shown = Callable[[Sequence[bytes]], list[Image.Image]]


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    """A context with its folders."""
    return pdfs.context_in(tmp_path)


@pytest.fixture
def in_document(context: JobContext) -> Shown:
    """Puts pictures into one page, and cuts them out of what a viewer shows."""

    def shown(pictures: Sequence[bytes]) -> list[Image.Image]:
        places = [(number % ACROSS * SIDE, number // ACROSS * SIDE) for number in range(len(pictures))]
        html = "".join(
            f"<img src='{data(content)}' style='position:absolute;left:{x}pt;top:{y}pt;width:{SIDE}pt;height:{SIDE}pt'>"
            for content, (x, y) in zip(pictures, places, strict=True)
        )
        width, height = ACROSS * SIDE, (len(pictures) // ACROSS + 1) * SIDE
        css = f"@page {{ size: {width}pt {height}pt; margin: 0 }} body {{ margin: 0 }}"
        render(Page.model_validate({"html": f"<style>{css}</style>{html}"}), context)
        page = Document(context.artifacts[-1].path.read_bytes()).picture()
        return [page.crop((x, y, x + SIDE, y + SIDE)) for x, y in places]

    return shown


@pytest.fixture
def as_stamps(context: JobContext, tmp_path: Path) -> Shown:
    """Stamps each picture on a page of its own."""

    def shown(pictures: Sequence[bytes]) -> list[Image.Image]:
        found: list[Image.Image] = []
        for begin in range(0, len(pictures), STEPS):
            part = pictures[begin : begin + STEPS]
            (tmp_path / "in" / "blank.pdf").write_bytes(_blank(part))
            steps = [
                {"op": "stamp", "file": data(content), "pages": str(number), "position": "fill", "margin_mm": 0}
                for number, content in enumerate(part, start=1)
            ]
            edit(Edit.model_validate({"sources": [{"file": "root:in/blank.pdf"}], "operations": steps}), context)
            document = Document(context.artifacts[-1].path.read_bytes())
            found += [document.picture(number) for number in range(len(part))]
        return found

    return shown


def _blank(pictures: Sequence[bytes]) -> bytes:
    """A PDF with an empty page for each picture, in the size of the upright one."""
    with pikepdf.new() as pdf:
        for content in pictures:
            with Image.open(io.BytesIO(content)) as picture:
                pdf.add_blank_page(page_size=(SIDE, SIDE if picture.width == picture.height else SIDE // 2))
        out = io.BytesIO()
        pdf.save(out)
    return out.getvalue()


@pytest.fixture(params=["in_document", "as_stamps"])
def shown(request: pytest.FixtureRequest) -> Shown:
    """Both ways into a PDF."""
    found: Shown = request.getfixturevalue(request.param)
    return found


def test_pictures_are_upright(shown: Shown, context: JobContext) -> None:
    everything = oriented.every()
    for (way, value, _), picture in zip(everything, shown([content for _, _, content in everything]), strict=True):
        assert corners(picture) == "rgbw", (way, value)
    assert context.warnings == []


def test_pictures_have_their_colours(shown: Shown, context: JobContext) -> None:
    everything = blocks.everything()
    for (name, (_, right)), picture in zip(everything, shown([block[0] for _, block in everything]), strict=True):
        inks = name in {"jpg inks", "jpg luma, chroma and black"}  # a viewer converts them in its own way
        assert blocks.same(blocks.colours_of(picture), list(map(_on_paper, right)), 130 if inks else 4), (name, right)
    assert any("16 bits a channel; the result has 8" in line for line in context.warnings)


def test_a_profile_is_applied(shown: Shown) -> None:
    """Red and blue are exchanged."""
    swapped = bytearray(profiles.srgb())
    red, blue = swapped.index(b"rXYZ", 128), swapped.index(b"bXYZ", 128)
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
    swapped = swapped.replace(b"s\0R\0G\0B", b"o\0t\0h\0e").replace(b"sRGB", b"othe")
    pictures = [encoded(form, quarters(40, 40), icc_profile=bytes(swapped)) for form in ("PNG", "JPEG", "TIFF", "WEBP")]
    assert [corners(picture) for picture in shown(pictures)] == ["bgrw"] * 4


def test_only_the_first_frame_or_page_is_shown_with_a_warning(shown: Shown, context: JobContext) -> None:
    frames = [quarters(40, 40), Image.new("RGB", (40, 40), "black")]
    forms = ("GIF", "TIFF", "WEBP", "PNG")
    pictures = [encoded(form, frames[0], save_all=True, append_images=frames[1:]) for form in forms]
    assert [corners(picture) for picture in shown(pictures)] == ["rgbw"] * 4
    assert any("2 frames or pages; the first was used" in line for line in context.warnings)


def test_heic_is_shown(shown: Shown) -> None:
    assert [corners(picture) for picture in shown([encoded("HEIF", quarters(40, 40), quality=90)])] == ["rgbw"]


@pytest.mark.parametrize(("style", "seen"), [("none", "brwg"), ("from-image", "rgbw")])
@pytest.mark.parametrize("way", ["jpg", "jpg xmp", "png text", "tif", "tif xmp", "webp"])
def test_a_document_decides_whether_pictures_are_turned(context: JobContext, way: str, style: str, seen: str) -> None:
    content = oriented.WAYS[way](quarters(), 8)
    css = "@page { size: 40pt 40pt; margin: 0 } body { margin: 0 } img { width: 40pt; height: 40pt }"
    html = f"<style>{css} img {{ image-orientation: {style} }}</style><img src='{data(content)}'>"
    render(Page.model_validate({"html": html}), context)
    assert corners(Document(context.artifacts[-1].path.read_bytes()).picture()) == seen


def test_a_stamp_that_is_no_picture_is_refused_with_the_reason(as_stamps: Shown) -> None:
    cut = encoded("JPEG")[:3000]
    with pytest.raises(JobError, match="is no PDF, and as a picture it cannot be used: The picture is damaged"):
        as_stamps([cut])


def _on_paper(colour: blocks.Rgba) -> blocks.Rgba:
    share = colour[3] / 255
    red, green, blue = (round(one * share + 255 * (1 - share)) for one in colour[:3])
    return red, green, blue, 255
