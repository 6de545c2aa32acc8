"""Kinds with many pictures: contact sheets, responsive sets, near-duplicates."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from PIL import Image, ImageEnhance
from pydantic import ValidationError

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.images import ImagesToCompare, ResponsiveSet, SheetOfImages
from offloop.kinds.job_context import JobContext
from offloop_workers.images.responsive import make_set
from offloop_workers.images.sheet import make_sheet
from offloop_workers.images.similar import find_similar
from support.files.pictures import Keep, colour_at, corners, encoded, quarters


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Pictures that differ from each other, the same for the same seed."""
    picture = Image.new("RGB", (64, 48), "#406080")
    for number in range(12):
        x, y = (seed * 37 + number * 23) % 64, (seed * 53 + number * number * 11) % 48
        colour = (seed * 91 + number * 40) % 256, (number * 71) % 256, (seed * 17 + number * 29) % 256
        picture.paste(colour, (x, y, x + 8 + seed % 9, y + 6 + number))
    return picture.resize(size, Image.Resampling.BICUBIC)


def test_a_sheet_holds_every_picture_in_its_cell(keep: Keep, context: JobContext) -> None:
    images = [
        keep(f"{n}.png", Image.new("RGB", (30, 60), colour))
        for n, colour in enumerate(("#ff0000", "#00ff00", "#0000ff"))
    ]
    asked = {"images": images, "columns": 2, "cell_width": 100, "cell_height": 50, "gap": 10, "format": "png"}
    result = make_sheet(SheetOfImages.model_validate({**asked, "captions": []}), context)
    assert (result.width, result.height, result.columns, result.rows, result.placed) == (230, 130, 2, 2, 3)
    with Image.open(context.artifacts[-1].path) as sheet:
        assert sheet.convert("RGB").getpixel((60, 35)) == (255, 0, 0)
        assert sheet.convert("RGB").getpixel((170, 35)) == (0, 255, 0)
        assert sheet.convert("RGB").getpixel((60, 95)) == (0, 0, 255)
        assert sheet.convert("RGB").getpixel((170, 95)) == (255, 255, 255)
        assert sheet.convert("RGB").getpixel((15, 35)) == (255, 255, 255)
    result = make_sheet(SheetOfImages.model_validate({**asked, "fit": "cover"}), context)
    with Image.open(context.artifacts[-1].path) as sheet:
        assert sheet.convert("RGB").getpixel((15, 12)) == (255, 0, 0)
        assert result.height > 130  # captions
        assert len(sheet.crop((10, 60, 110, 85)).convert("L").getcolors() or []) > 2


def test_a_picture_that_cannot_be_read_leaves_its_cell_empty(keep: Keep, context: JobContext) -> None:
    images = [keep("a.png", quarters()), keep("b.png", b"nonsense"), "root:in/missing.png"]
    result = make_sheet(SheetOfImages.model_validate({"images": images}), context)
    assert result.placed == 1
    assert [(failure.index, failure.code) for failure in result.failed] == [(1, "not_an_image"), (2, "unreadable_file")]
    assert any("2 of 3 pictures" in line for line in context.warnings)
    with pytest.raises(JobError, match="None of the 2 pictures can be used") as failed:
        make_sheet(SheetOfImages.model_validate({"images": images[1:]}), context)
    assert failed.value.reason == "no_image"


def test_a_sheet_beyond_the_bounds_is_refused(keep: Keep, context: JobContext) -> None:
    asked = {"images": [keep("a.png", quarters())] * 40, "columns": 40, "cell_width": 1_000}
    with pytest.raises(LimitExceeded, match="at most 16,384 a side"):
        make_sheet(SheetOfImages.model_validate(asked), context)


def test_captions_must_be_as_many_as_pictures() -> None:
    with pytest.raises(ValidationError, match="1 lines for 2 images"):
        SheetOfImages.model_validate({"images": ["data:image/png;base64,"] * 2, "captions": ["x"]})


class Found(HTMLParser):
    """Elements with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


def test_a_responsive_set_has_every_file_that_its_snippet_names(keep: Keep, context: JobContext) -> None:
    image = keep("my photo.png", quarters(800, 400))
    asked = {"image": image, "widths": [400, 100, 400, 2000], "formats": ["avif", "webp", "jpeg"]}
    result = make_set(ResponsiveSet.model_validate({**asked, "alt": 'a "b" & <c>', "url_prefix": "/img/"}), context)
    assert [(variant.format, variant.width, variant.height) for variant in result.variants[:3]] == [
        ("avif", 100, 50),
        ("avif", 400, 200),
        ("avif", 800, 400),
    ]
    assert [artifact.name for artifact in context.artifacts] == [variant.name for variant in result.variants]
    assert [artifact.size for artifact in context.artifacts] == [variant.size for variant in result.variants]
    for artifact, variant in zip(context.artifacts, result.variants, strict=True):
        with Image.open(artifact.path) as opened:
            assert (opened.size, opened.format) == ((variant.width, variant.height), variant.format.upper())
            assert corners(opened) == "rgbw"
    found = Found()
    found.feed(result.html)
    assert [tag for tag, _ in found.elements] == ["picture", "source", "source", "img"]
    assert [dict(element).get("type") for _, element in found.elements[1:3]] == ["image/avif", "image/webp"]
    attributes = found.elements[3][1]
    assert (attributes["alt"], attributes["width"], attributes["src"]) == (
        'a "b" & <c>',
        "800",
        "/img/my%20photo-800.jpg",
    )
    named = re.findall(r"/img/(\S+)", " ".join(result.srcset.values()))
    assert len(named) == len(result.variants) == 9
    assert any("2000 would enlarge it" in line for line in context.warnings)


def test_a_responsive_set_is_upright(keep: Keep, context: JobContext) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = keep("a.jpg", encoded("JPEG", quarters(400, 200).transpose(Image.Transpose.ROTATE_90), exif=exif))
    result = make_set(ResponsiveSet.model_validate({"image": image, "widths": [200]}), context)
    assert (result.variants[0].width, result.variants[0].height) == (200, 100)
    with Image.open(context.artifacts[-1].path) as opened:
        assert corners(opened) == "rgbw"
        assert colour_at(opened, 0.9, 0.1)[1] > 200


def test_copies_are_grouped_with_the_largest_first(keep: Keep, context: JobContext) -> None:
    one, two = scene(1), scene(2)
    images = [
        keep("small.jpg", one.resize((160, 120)), quality=60),
        keep("other.png", scene(3)),
        keep("large.png", one),
        keep("bright.webp", ImageEnhance.Brightness(one).enhance(1.08), quality=70),
        keep("two.png", two),
        keep("two again.png", two),
        keep("broken.png", b"\x89PNG\r\n\x1a\n"),
    ]
    found = find_similar(ImagesToCompare.model_validate({"images": images}), context)
    assert [[likeness.index for likeness in group][:1] for group in found.groups] == [[2], [4]]
    assert {likeness.index for likeness in found.groups[0]} == {0, 2, 3}
    assert [likeness.identical for likeness in found.groups[1]] == [True, True]
    assert (found.compared, found.unique) == (6, 1)
    assert [(failure.index, failure.code) for failure in found.failed] == [(6, "damaged_image")]


def test_blank_pictures_resemble_only_blank_ones_of_their_brightness(keep: Keep, context: JobContext) -> None:
    images = [keep(f"{n}.png", Image.new("L", (50, 50), grey)) for n, grey in enumerate((0, 255, 2, 253))]
    images.append(keep("scene.png", scene(1)))
    found = find_similar(ImagesToCompare.model_validate({"images": images}), context)
    assert sorted(sorted(likeness.index for likeness in group) for group in found.groups) == [[0, 2], [1, 3]]


def test_many_different_pictures_are_no_group(keep: Keep, context: JobContext) -> None:
    images = [keep(f"{n}.png", scene(n, (64, 48))) for n in range(40)]
    found = find_similar(ImagesToCompare.model_validate({"images": images, "max_distance": 4}), context)
    assert sum(map(len, found.groups)) <= 4


def test_more_pictures_than_may_be_compared_are_refused_with_the_number() -> None:
    with pytest.raises(ValidationError, match="at most 2000"):
        ImagesToCompare.model_validate({"images": ["data:image/png;base64,"] * 2001})


def test_captions_that_are_shortened_or_lack_a_glyph_are_told(keep: Keep, context: JobContext) -> None:
    images = [keep(f"{number}.png", quarters()) for number in range(3)]
    captions = ["short", "a caption that is much wider than its cell", "東京\n2024"]
    request = SheetOfImages.model_validate({"images": images, "captions": captions, "cell_width": 80})
    make_sheet(request, context)
    assert [line.split(":")[0] for line in context.warnings] == [
        "Captions that are wider than their cell were shortened",
        "The font has no sign for 東 京",
    ]
    assert ": 2. Send a larger cell_width" in context.warnings[0]


def test_the_pages_that_a_sheet_does_not_show_are_told(keep: Keep, context: JobContext) -> None:
    pages = keep("pages.tif", quarters(), save_all=True, append_images=[quarters()])
    make_sheet(SheetOfImages.model_validate({"images": [keep("one.png", quarters()), pages]}), context)
    assert context.warnings == ["Picture 2 (root:in/pages.tif): the source has 2 frames or pages; the first was used."]
