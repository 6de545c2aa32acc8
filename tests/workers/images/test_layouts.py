"""Every depth, colour type and layout, through every tool; the colours are known before they are stored."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from offloop.errors import JobError
from offloop.jobs.images import ImageToDescribe, ResponsiveSet, SheetOfImages
from offloop.kinds.job_context import JobContext
from offloop_workers.images import describe, responsive, sheet
from support.files import blocks
from support.files.pictures import Keep, Run
from support.files.raw import tiff

EVERYTHING = blocks.everything()
LOSSY = 12


def _near(name: str) -> int:
    return LOSSY if name.startswith("jpg") else 1


@pytest.mark.parametrize("request_", [{}, {"width": 8}, {"redact": [{"left": 7, "top": 7, "width": 1, "height": 1}]}])
def test_a_transformed_picture_has_its_colours(run: Run, context: JobContext, request_: dict[str, Any]) -> None:
    for name, (content, right) in EVERYTHING:
        context.artifacts.clear()
        result = run(content, name.split(" ", maxsplit=1)[0], format="png", **request_)[1]
        assert blocks.same(blocks.colours_of(result), right, max(_near(name), 8 * ("width" in request_))), name


def test_lost_bits_are_told(run: Run, context: JobContext) -> None:
    for name, (content, _) in EVERYTHING:
        before = len(context.warnings)
        context.warnings.clear()
        run(content, name.split(" ", maxsplit=1)[0], format="png")
        deep = any(f" {bits}" in name for bits in (12, 16, 32, 64))
        assert any("bits a channel; the result has 8" in line for line in context.warnings) == deep, (name, before)


def test_an_overlay_has_its_colours(run: Run, keep: Keep) -> None:
    for name, (content, right) in EVERYTHING:
        logo = keep(f"logo.{name.split(' ', maxsplit=1)[0]}", content)
        overlay = {"image": logo, "scale": 1, "margin": 0, "position": "top_left"}
        result = run(Image.new("RGB", (16, 16), "#ff00ff"), image_overlays=[overlay])[1]
        shown = [colour if colour[3] == 255 else None for colour in right]
        for found, colour in zip(blocks.colours_of(result), shown, strict=True):
            assert colour is None or blocks.same([found], [colour], _near(name)), name


def test_a_contact_sheet_has_their_colours(keep: Keep, context: JobContext) -> None:
    files = EVERYTHING
    images = [
        keep(f"{number}.{name.split(' ', maxsplit=1)[0]}", content) for number, (name, (content, _)) in enumerate(files)
    ]
    for begin in range(0, len(images), 100):
        part = images[begin : begin + 100]
        layout = {"columns": 10, "cell_width": 16, "cell_height": 16, "gap": 0, "captions": [], "format": "png"}
        sheet.make_sheet(SheetOfImages.model_validate({"images": part, "background": "#00ffff", **layout}), context)
        with Image.open(context.artifacts[-1].path) as made:
            for number, (name, (_, right)) in enumerate(files[begin : begin + 100]):
                left, top = number % 10 * 16, number // 10 * 16
                on_cyan = [colour if colour[3] == 255 else _on_cyan(colour) for colour in right]
                found = blocks.colours_of(made.crop((left, top, left + 16, top + 16)))
                assert blocks.same(found, on_cyan, _near(name)), (name, found)


def test_described_and_responsive_pictures_have_their_colours(keep: Keep, context: JobContext) -> None:
    for name, (content, right) in EVERYTHING[::7]:
        reference = keep(f"x.{name.split(' ', maxsplit=1)[0]}", content)
        described = describe.describe(ImageToDescribe.model_validate({"image": reference, "colours": 4}), context)
        opaque = {colour[:3] for colour in right if colour[3] == 255}
        assert {min(opaque, key=lambda one: _distance(one, found.colour)) for found in described.palette} == opaque, (
            name
        )
        responsive.make_set(
            ResponsiveSet.model_validate({"image": reference, "widths": [16], "formats": ["png"]}), context
        )
        with Image.open(context.artifacts[-1].path) as made:
            assert blocks.same(blocks.colours_of(made), right, _near(name)), name
        context.artifacts.clear()


def test_a_layout_that_is_not_read_is_named(run: Run) -> None:
    content = tiff(1, 16, blocks.rows([(0, 1), (1, 0), (0, 0), (1, 1)]), extra=[2])
    with pytest.raises(JobError, match="2 unsigned samples of 16 bits, photometric 1") as failed:
        run(content, "tif")
    assert failed.value.reason == "not_an_image"


def _on_cyan(colour: blocks.Rgba) -> blocks.Rgba:
    share = colour[3] / 255
    red, green, blue = (
        round(one * share + other * (1 - share)) for one, other in zip(colour, (0, 255, 255), strict=False)
    )
    return red, green, blue, 255


def _distance(one: tuple[int, ...], colour: str) -> int:
    return sum(abs(a - b) for a, b in zip(one, bytes.fromhex(colour[1:]), strict=True))
