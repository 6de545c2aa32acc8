"""Pages that look alike and differ in /Rotate, boxes and UserUnit: every PDF tool treats them alike.

All pages of `source` show the same picture of 144 by 96 points. PDFium's drawing of the sources, which is checked
first, is the reference; then the result of each tool on each page is compared with that on the first page, which has
no rotation, no crop box and no unit.
"""

from __future__ import annotations

import base64
import functools
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pikepdf
import pypdfium2
import pytest
from pikepdf import Array, Dictionary, Name
from PIL import Image, ImageChops, ImageStat

from offloop.jobs.documents import Edit, ToDescribe, ToPreview, ToRead
from offloop.kinds.job_context import JobContext
from offloop.kinds.limits import Limits
from offloop_workers.pdf.describe import describe
from offloop_workers.pdf.editing.edit import edit
from offloop_workers.pdf.reading.preview import preview
from offloop_workers.pdf.reading.text import read
from support.files import pdfs

WIDTH, HEIGHT = 144, 96
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to write the page: the entry /Rotate, a name of its boxes, and the unit."""

    rotate: int
    boxes: str
    unit: float


TURNS = (0, 90, 180, 270, -90, 450, -540, 100)
"""PDFium takes 100 for 90, as it divides by 90 and drops the rest."""
BOXES = ("media", "crop", "crop-beyond", "crop-apart", "crop-touching", "swapped", "negative", "inherited", "broken")
UNITS = (1, 2, 0.5, 8)
VARIANTS = [Variant(0, "media", 1)]
VARIANTS += [
    Variant(*one) for one in itertools.product(TURNS, BOXES, UNITS) if one[1] in {"crop", "crop-apart"} or one[2] == 2
]


def _boxes(name: str, width: float, height: float) -> tuple[Any, Any, Box]:
    """MediaBox, CropBox and the box that is visible, which is so large."""
    whole = [0, 0, width, height]
    moved = [-5, 0, width + 40, height + 40], [20, 30, width + 20, height + 30], (20, 30, width + 20, height + 30)
    return {
        "media": (whole, None, (0, 0, width, height)),
        "crop": moved,
        "inherited": moved,
        "crop-beyond": ([10, 0, width + 10, height], [-200, -200, 900, 900], (10, 0, width + 10, height)),
        "crop-apart": (whole, [900, 900, 950, 950], (0, 0, width, height)),
        "crop-touching": (whole, [width, 0, 2 * width, height], (0, 0, width, height)),
        "swapped": ([width + 9, height + 9, 0, -9], [width + 3, 3, 3, height + 3], (3, 3, width + 3, height + 3)),
        "negative": ([-width, -height, 0, 0], [-width, -900, 900, 900], (-width, -height, 0, 0)),
        "broken": (whole, [0, 0, Name.X], (0, 0, width, height)),
    }[name]


def _matrix(turn: int, box: Box, unit: float) -> str:
    """Operands of cm from the page as seen to its own coordinates; the drawing of the sources proves it."""
    left, bottom, right, top = box
    scale = 1 / unit
    a, b, x, y = {
        0: (scale, 0.0, left, bottom),
        90: (0.0, scale, right, bottom),
        180: (-scale, 0.0, right, top),
        270: (0.0, -scale, left, top),
    }[turn]
    return f"{a:.6f} {b:.6f} {-b:.6f} {a:.6f} {x:.6f} {y:.6f}"


def _turn(rotate: int) -> int:
    return int(rotate / 90) * 90 % 360


SEEN = """q {matrix} cm
1 0 0 rg 0 0 20 10 re f 0 1 0 rg 124 0 20 10 re f 0 0 1 rg 0 86 20 10 re f 0 1 1 rg 124 86 20 10 re f
BT 0 g /F1 10 Tf 30 60 Td (Left words) Tj 60 -20 Td (Right) Tj ET Q"""


def _add(pdf: pikepdf.Pdf, variant: Variant) -> None:
    turn = _turn(variant.rotate)
    width, height = WIDTH / variant.unit, HEIGHT / variant.unit
    media, crop, box = _boxes(variant.boxes, *((height, width) if turn % 180 else (width, height)))
    content = SEEN.format(matrix=_matrix(turn, box, variant.unit))
    page = pdf.add_blank_page(page_size=(9, 9))
    page.obj.Contents = pdf.make_stream(content.encode())
    page.obj.Resources = Dictionary(
        Font=Dictionary(F1=Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica))
    )
    del page.obj.MediaBox
    entries = {"/MediaBox": Array(media), "/Rotate": variant.rotate}
    if crop:
        entries["/CropBox"] = Array(crop)
    holder = page.obj
    if variant.boxes == "inherited":
        holder = pdf.make_indirect(Dictionary(Type=Name.Pages, Kids=Array([page.obj]), Count=1))
    for key, value in entries.items():
        holder[key] = value
    page.obj.UserUnit = variant.unit
    look = pdf.make_stream(b"1 0 1 rg 0 0 1 1 re f", Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 1, 1])
    middle_x, middle_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    side = 4 / variant.unit
    rectangle = [middle_x - side, middle_y - side, middle_x + side, middle_y + side]
    note = Dictionary(Type=Name.Annot, Subtype=Name.Square, Rect=rectangle, F=4, AP=Dictionary(N=look))
    page.obj.Annots = Array([pdf.make_indirect(note)])


@functools.cache
def source() -> bytes:
    """All variants as the pages of one document."""
    pdf, out = pikepdf.new(), io.BytesIO()
    for variant in VARIANTS:
        _add(pdf, variant)
    pages = [page.obj for page in pdf.pages]
    for variant, page in zip(VARIANTS, pages, strict=True):
        if variant.boxes == "inherited":
            page.Parent = next(one for one in pdf.objects if _is_node_of(one, page))
            page.Parent.Parent = pdf.Root.Pages
    pdf.Root.Pages.Kids = Array(
        [page.Parent if one.boxes == "inherited" else page for one, page in zip(VARIANTS, pages, strict=True)]
    )
    pdf.save(out)
    return out.getvalue()


def _is_node_of(one: Any, page: Any) -> bool:
    return (
        isinstance(one, Dictionary)
        and one.get("/Type") == Name.Pages
        and one.get("/Count") == 1
        and one.Kids[0].objgen == page.objgen
    )


def _pictures(data: bytes) -> Iterator[Image.Image]:
    """Each page as PDFium draws it, twice enlarged; PDFium knows no UserUnit, and no page whose boxes do not meet."""
    document = pypdfium2.PdfDocument(data)
    with pikepdf.open(io.BytesIO(data)) as pdf:
        units = [float(page.obj.get("/UserUnit", 1)) for page in pdf.pages]
    for page, unit in zip(document, units, strict=True):
        if not all(page.get_size()):
            page.set_cropbox(*page.get_mediabox())
        bitmap = page.render(scale=2 * unit)
        yield bitmap.to_pil().convert("RGB").copy()
        bitmap.close()
        page.close()
    document.close()


def _assert_alike(data: bytes, what: str) -> Image.Image:
    """Compare all pages with the first one, which is returned."""
    first: Image.Image | None = None
    for picture, variant in zip(_pictures(data), VARIANTS, strict=True):
        first = first or picture
        assert picture.size == first.size == (2 * WIDTH, 2 * HEIGHT), (what, variant)
        difference = ImageChops.difference(picture, first).convert("L")
        # Borders between colours may fall between pixels; a stamp elsewhere differs in whole areas.
        assert ImageStat.Stat(difference).mean[0] < 2, (what, variant)
        assert max(difference.reduce(6).tobytes()) < 90, (what, variant)
    assert first
    return first


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    """A context with the document in its folder."""
    made = pdfs.context_in(tmp_path)
    (tmp_path / "in" / "seen.pdf").write_bytes(source())
    return made


def _edited(context: JobContext, *steps: dict[str, Any]) -> bytes:
    request = {"sources": [{"file": "root:in/seen.pdf"}], "operations": list(steps)}
    edit(Edit.model_validate(request), context)
    return context.artifacts[-1].path.read_bytes()


def _reference(content: bytes, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def _picture_stamp() -> str:
    """24 by 16 points, with another colour in each quarter."""
    picture = Image.new("RGB", (32, 32 * 2 // 3))
    for corner, colour in (((0, 0), "#f00"), ((16, 0), "#0f0"), ((0, 10), "#00f"), ((16, 10), "#ff0")):
        picture.paste(colour, (*corner, corner[0] + 16, corner[1] + 11))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return _reference(out.getvalue(), "image/png")


def test_the_sources_look_alike() -> None:
    _assert_alike(source(), "source")


POSITIONS = ("center", "top", "bottom", "left", "right", "top-left", "top-right", "bottom-left", "bottom-right")


@pytest.mark.parametrize(
    "steps",
    [
        [{"text": "Stamp", "font_size": 8, "position": position, "margin_mm": 4} for position in POSITIONS],
        [{"file": "picture", "position": position, "margin_mm": 2} for position in POSITIONS],
        [{"file": "page", "position": "top-right", "width_percent": 30}],
        [{"file": "picture", "position": "fill", "opacity": 0.5}],
        [{"text": "DRAFT", "font_size": 40, "rotate": 45, "opacity": 0.3, "layer": "under"}],
        [{"text": "{pages}", "position": "bottom", "font_size": 9}],
        [{"file": "picture", "position": "bottom-left", "width_percent": 100, "margin_mm": 5}],
    ],
    ids=["texts", "pictures", "page", "fill", "watermark", "numbers", "wide"],
)
def test_a_stamp_is_upright_and_of_its_size_on_every_page(context: JobContext, steps: list[dict[str, Any]]) -> None:
    files = {"picture": _picture_stamp(), "page": _reference(pdfs.written("Letter", 1), "application/pdf")}
    operations = [{"op": "stamp", **step} | ({"file": files[step["file"]]} if "file" in step else {}) for step in steps]
    data = _edited(context, *operations)
    stamped = _assert_alike(data, "stamp")
    plain = next(_pictures(source()))
    assert ImageChops.difference(stamped, plain).getbbox(), "the stamp is visible"


@pytest.mark.parametrize(
    ("position", "left", "top"),
    [
        ("center", 60, 40), ("top", 60, 6), ("bottom", 60, 74), ("left", 6, 40), ("right", 114, 40),
        ("top-left", 6, 6), ("top-right", 114, 6), ("bottom-left", 6, 74), ("bottom-right", 114, 74),
    ],
)  # fmt: skip
def test_a_picture_is_at_its_margins(context: JobContext, position: str, left: int, top: int) -> None:
    step = {"op": "stamp", "file": _picture_stamp(), "position": position, "margin_mm": 6 / 72 * 25.4, "pages": "1"}
    drawn = next(_pictures(_edited(context, step)))
    colours = [drawn.getpixel((2 * left + x, 2 * top + y)) for x, y in ((3, 3), (44, 3), (3, 28), (44, 28))]
    assert colours == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]
    assert drawn.getpixel((2 * left - 2, 2 * top - 2)) != (255, 0, 0)


def test_every_variant_is_a_stamp_that_looks_alike(context: JobContext) -> None:
    first: Image.Image | None = None
    for number, variant in enumerate(VARIANTS, 1):
        if number % 3 and variant.boxes != "inherited" and number > 1:
            continue
        step = {"file": "root:in/seen.pdf", "file_page": number, "position": "top-left", "width_percent": 60}
        request = {"sources": [{"file": "root:in/seen.pdf", "pages": "1"}], "operations": [{"op": "stamp", **step}]}
        edit(Edit.model_validate(request), context)
        picture = next(_pictures(context.artifacts.pop().path.read_bytes()))
        first = first or picture
        assert ImageStat.Stat(ImageChops.difference(picture, first).convert("L")).mean[0] < 2, variant


@pytest.mark.parametrize(
    "steps",
    [
        [{"op": "merge"}],
        [{"op": "flatten"}],
        [{"op": "optimise"}],
        [{"op": "sanitise"}],
        [{"op": "select", "pages": "-1-1"}, {"op": "select", "pages": "-1-1"}],
        [{"op": "rotate", "degrees": 90}, {"op": "rotate", "degrees": 270}],
        [{"op": "rotate", "degrees": 180}, {"op": "stamp", "text": "x"}, {"op": "rotate", "degrees": 180}],
        [{"op": "merge"}, {"op": "stamp", "text": "after"}, {"op": "flatten"}],
    ],
    ids=lambda steps: "-".join(step["op"] for step in steps),
)
def test_every_other_step_keeps_pages_as_they_are_seen(context: JobContext, steps: list[dict[str, Any]]) -> None:
    _assert_alike(_edited(context, *steps), str(steps))


def test_a_rotation_turns_every_page_the_same_way(context: JobContext) -> None:
    data = _edited(context, {"op": "rotate", "degrees": 90})
    expected = next(_pictures(source())).transpose(Image.Transpose.ROTATE_270)
    for picture, variant in zip(_pictures(data), VARIANTS, strict=True):
        assert picture.size == expected.size, variant
        assert ImageStat.Stat(ImageChops.difference(picture, expected).convert("L")).mean[0] < 3, variant


def test_the_description_has_one_size(context: JobContext) -> None:
    found = describe(ToDescribe.model_validate({"file": "root:in/seen.pdf"}), context)
    assert [(one.width_mm, one.height_mm, one.pages) for one in found.sizes] == [(50.8, 33.9, len(VARIANTS))]


def test_previews_look_alike(context: JobContext) -> None:
    first: Image.Image | None = None
    context.limits = Limits(artifacts=len(VARIANTS))
    numbers = range(1, len(VARIANTS) + 1)
    for start in range(0, len(numbers), 50):
        pages = ",".join(map(str, numbers[start : start + 50]))
        preview(ToPreview.model_validate({"file": "root:in/seen.pdf", "pages": pages, "dpi": 72}), context)
    for artifact, variant in zip(context.artifacts, VARIANTS, strict=True):
        with Image.open(artifact.path) as picture:
            first = first or picture.copy()
            assert picture.size == (WIDTH, HEIGHT), variant
            assert ImageStat.Stat(ImageChops.difference(picture, first).convert("L")).mean[0] < 2, variant


@pytest.mark.parametrize("layout", [False, True])
def test_the_text_is_the_same(context: JobContext, *, layout: bool) -> None:
    request = {"file": "root:in/seen.pdf", "search": "left WORDS", "layout": layout}
    found = read(ToRead.model_validate(request), context)
    assert len(found.texts) == len(VARIANTS)
    texts = {one.text if layout else " ".join(one.text.split()) for one in found.texts}
    assert texts == {found.texts[0].text} if layout else {"Left words Right"}
    assert found.texts[0].text.split() == ["Left", "words", "Right"]
