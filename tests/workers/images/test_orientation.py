"""Orientation: every way to store it, through every tool; the upright picture is known before it is turned."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image, ImageChops, ImageOps

from offloop.jobs.images import ImagesToCompare, ImageToDescribe, ResponsiveSet, SheetOfImages
from offloop.kinds.job_context import JobContext
from offloop_workers.images import describe, responsive, sheet, similar
from support.files import oriented
from support.files.pictures import PHOTO, Keep, Run, corners, encoded, quarters

SIZE = (80, 40)


def _kept(keep: Keep, picture: Image.Image) -> list[tuple[str, str]]:
    """A name and a reference for each way and orientation."""
    return [
        (f"{way}, {value}", keep(f"{way.replace(' ', '-')}-{value}.{way.split(' ', maxsplit=1)[0]}", content))
        for way, value, content in oriented.every(picture)
    ]


def _photo() -> Image.Image:
    with Image.open(PHOTO) as photo:
        return photo.convert("RGB").resize(SIZE)


@pytest.mark.parametrize("way", oriented.WAYS)
def test_a_transformed_picture_is_upright(run: Run, context: JobContext, way: str) -> None:
    form = way.split(" ", maxsplit=1)[0]
    requests: list[tuple[dict[str, Any], str, tuple[int, int]]] = [
        ({}, "rgbw", SIZE),
        ({"width": 40}, "rgbw", (40, 20)),
        ({"rotate": 90}, "brwg", (40, 80)),
        ({"flip": True}, "bwrg", SIZE),
        ({"mirror": True}, "grwb", SIZE),
        ({"width": 20, "height": 20, "fit": "fill"}, "rgbw", (20, 20)),
        ({"crop": {"left": 0, "top": 0, "width": 40, "height": 20}}, "rrrr", (40, 20)),
        ({"crop": {"left": 50, "top": 50, "width": 50, "height": 50, "unit": "percent"}}, "wwww", (40, 20)),
        ({"width": 100, "height": 100, "fit": "pad", "background": "#000000"}, "", (100, 100)),
    ]
    for value in range(1, 9):
        content = oriented.WAYS[way](quarters(), value)
        for request, expected, size in requests:
            picture, result = run(content, form, format="png", **request)
            assert (result.size, picture.source_width, picture.source_height) == (size, *SIZE), (value, request)
            assert corners(result) == expected or not expected, (value, request)
    assert [line for line in context.warnings if "pictures" not in line] == []


@pytest.mark.parametrize("way", oriented.WAYS)
def test_redaction_hides_what_the_upright_picture_shows_there(run: Run, way: str) -> None:
    """The secret is green, and nothing else is; the box is measured on the upright picture."""
    secret = Image.new("RGB", SIZE, "red")
    secret.paste("#00ff00", (50, 8, 70, 18))
    box = {"left": 48, "top": 6, "width": 24, "height": 14, "colour": "#0000ff"}
    for value in range(1, 9):
        content = oriented.WAYS[way](secret, value)
        for more in ({}, {"width": 40}, {"orient": False}, {"rotate": 270}, {"keep_metadata": ["exif"]}):
            _, result = run(content, way.split(" ", maxsplit=1)[0], format="png", redact=[box], **more)
            _, green, _ = result.convert("RGB").split()
            assert max(green.tobytes()) < 80, (value, more)
            blue = ImageChops.subtract(result.convert("RGB").getchannel("B"), result.convert("RGB").getchannel("R"))
            assert blue.getbbox() is not None


@pytest.mark.parametrize("way", oriented.WAYS)
def test_the_stored_pixels_are_kept_on_request(run: Run, way: str) -> None:
    for value in range(1, 9):
        expected = corners(oriented.stored(quarters(), value))
        picture, result = run(
            oriented.WAYS[way](quarters(), value), way.split(" ", maxsplit=1)[0], format="png", orient=False
        )
        if way == "heic":  # its decoder gives back upright pixels only
            expected = "rgbw"
        assert corners(result) == expected, value
        assert (picture.source_width, picture.source_height) == SIZE


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "avif"])
@pytest.mark.parametrize("way", ["jpg", "png text", "webp", "avif", "heic", "tif", "tif lzw"])
def test_a_viewer_shows_a_result_with_kept_metadata_upright(run: Run, context: JobContext, form: str, way: str) -> None:
    for value in range(1, 9):
        for orient in (True, False):
            content, extension = oriented.WAYS[way](quarters(), value), way.split(" ", maxsplit=1)[0]
            run(content, extension, format=form, orient=orient, keep_metadata=["exif", "gps", "icc"])
            with Image.open(context.artifacts[-1].path) as result:
                assert corners(ImageOps.exif_transpose(result)) == "rgbw", (value, orient)


def test_every_picture_is_described_and_compared_upright(keep: Keep, context: JobContext) -> None:
    matrix = _kept(keep, _photo())
    right = describe.describe(ImageToDescribe.model_validate({"image": matrix[0][1]}), context)
    for name, reference in matrix:
        found = describe.describe(ImageToDescribe.model_validate({"image": reference}), context)
        assert (found.width, found.height) == SIZE, name
        assert (int(found.dhash, 16) ^ int(right.dhash, 16)).bit_count() <= 6, name
    request = ImagesToCompare.model_validate({"images": [reference for _, reference in matrix]})
    compared = similar.find_similar(request, context)
    assert [len(group) for group in compared.groups] == [len(matrix)]
    assert {(one.width, one.height) for one in compared.groups[0]} == {SIZE}


def test_every_picture_is_upright_on_a_contact_sheet(keep: Keep, context: JobContext) -> None:
    matrix = _kept(keep, quarters())
    layout = {"columns": 16, "cell_width": 40, "cell_height": 20, "gap": 0, "captions": [], "format": "png"}
    request = SheetOfImages.model_validate({"images": [reference for _, reference in matrix], **layout})
    sheet.make_sheet(request, context)
    with Image.open(context.artifacts[-1].path) as made:
        for number, (name, _) in enumerate(matrix):
            left, top = number % 16 * 40, number // 16 * 20
            assert corners(made.crop((left, top, left + 40, top + 20))) == "rgbw", name


@pytest.mark.parametrize("way", oriented.WAYS)
def test_every_file_of_a_responsive_set_is_upright(keep: Keep, context: JobContext, way: str) -> None:
    for value in range(1, 9):
        reference = keep(f"set.{way.split(' ', maxsplit=1)[0]}", oriented.WAYS[way](quarters(), value))
        request = {"image": reference, "widths": [40, 80], "formats": ["png", "jpeg"]}
        made = responsive.make_set(ResponsiveSet.model_validate(request), context)
        assert [(one.width, one.height) for one in made.variants] == [(40, 20), SIZE] * 2
        for artifact in context.artifacts[-4:]:
            with Image.open(artifact.path) as opened:
                assert corners(opened) == "rgbw", value


@pytest.mark.parametrize("way", oriented.WAYS)
def test_an_overlay_is_upright(run: Run, keep: Keep, way: str) -> None:
    for value in range(1, 9):
        logo = keep(f"logo.{way.split(' ', maxsplit=1)[0]}", oriented.WAYS[way](quarters(), value))
        overlay = {"image": logo, "scale": 1, "margin": 0, "position": "top_left"}
        _, result = run(Image.new("RGB", SIZE, "black"), image_overlays=[overlay])
        assert corners(result) == "rgbw", value
        assert result.size == SIZE


@pytest.mark.parametrize("form", ["WEBP", "PNG"])
def test_every_frame_of_an_animation_is_upright(run: Run, form: str) -> None:
    for value in range(1, 9):
        frames = [oriented.stored(quarters(), value), oriented.stored(quarters().transpose(Image.Transpose(0)), value)]
        content = encoded(
            form, frames[0], save_all=True, append_images=frames[1:], duration=80, exif=oriented.exif(value), quality=95
        )
        picture, _ = run(content, form.lower(), format=form.lower(), animated=True)
        assert (picture.frames, picture.width, picture.height) == (2, *SIZE)


def test_each_page_of_a_tiff_has_its_own_orientation(run: Run) -> None:
    content = _pages(list(range(1, 9)))
    for page in range(1, 9):
        picture, result = run(content, "tif", format="png", page=page)
        assert (corners(result), picture.source_width, picture.source_height) == ("rgbw", *SIZE), page


@pytest.mark.parametrize(
    ("tag", "orientation"),
    [
        (oriented.exif(0), 1),
        (oriented.exif(9), 1),
        (oriented.exif(65_535, ">"), 1),
        (oriented.exif(b"6\0", kind=2, count=2), 1),
        (oriented.exif(b"\6\0\0\0", kind=4), 6),
        (oriented.exif(b"\6", kind=1), 6),
        (oriented.exif(b"\6\0\6\0", count=2), 6),
        (oriented.exif(b"\0\0\0\6", ">", kind=4), 6),
    ],
    ids=["0", "9", "65535", "text", "long", "byte", "two", "long big-endian"],
)
@pytest.mark.parametrize("form", ["jpg", "png", "webp"])
def test_an_orientation_of_a_wrong_type_or_value_is_told(
    run: Run, context: JobContext, form: str, tag: bytes, orientation: int
) -> None:
    content = encoded(form.replace("jpg", "jpeg"), oriented.stored(quarters(), orientation), exif=tag, quality=95)
    _, result = run(content, form, format="png")
    assert corners(result) == "rgbw"
    assert [line for line in context.warnings if "orientation tag is invalid" in line] == (
        context.warnings if orientation == 1 else []
    )
    assert bool(context.warnings) == (orientation == 1)


def _pages(orientations: list[int]) -> bytes:
    """A TIFF with a page for each orientation."""
    files = [oriented.WAYS["tif"](quarters(), value) for value in orientations]
    whole = bytearray(files[0])
    for content in files[1:]:
        _append(whole, content)
    return bytes(whole)


def _append(whole: bytearray, content: bytes) -> None:
    """Append the only page of a little-endian TIFF to another one: offsets move, and the last page links to it."""
    move = len(whole)
    page = bytearray(content)
    first = int.from_bytes(page[4:8], "little")
    for number in range(int.from_bytes(page[first : first + 2], "little")):
        at = first + 2 + 12 * number
        tag, kind = (int.from_bytes(page[at + step : at + step + 2], "little") for step in (0, 2))
        count = int.from_bytes(page[at + 4 : at + 8], "little")
        if count * {1: 1, 2: 1, 3: 2, 4: 4, 5: 8}[kind] > 4 or tag == 273:
            moved = int.from_bytes(page[at + 8 : at + 12], "little") + move
            page[at + 8 : at + 12] = moved.to_bytes(4, "little")
    last = int.from_bytes(whole[4:8], "little")
    while True:
        link = last + 2 + 12 * int.from_bytes(whole[last : last + 2], "little")
        following = int.from_bytes(whole[link : link + 4], "little")
        if not following:
            break
        last = following
    whole[link : link + 4] = (first + move).to_bytes(4, "little")
    whole += page
