"""format=auto: never a larger file without a reason, whatever the source."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Final

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat

from offloop.errors import JobError
from offloop.kinds.job_context import JobContext
from offloop_workers.images import outcome
from support.files.pictures import PHOTO, Run, animation, encoded, quarters


def photograph() -> Image.Image:
    """A small photograph."""
    with Image.open(PHOTO) as photo:
        return photo.convert("RGB").resize((300, 200))


def screenshot() -> Image.Image:
    """Lines of small letters and a box."""
    picture = Image.new("RGB", (500, 300), "white")
    draw = ImageDraw.Draw(picture)
    for top in range(10, 290, 14):
        draw.text((10, top), "The quick brown fox jumps over the lazy dog 0123456789", fill=(20, 20, 60))
    draw.rectangle((380, 40, 470, 200), fill="#3366cc")
    return picture


def _through(picture: Callable[[], Image.Image], form: str, **options: Any) -> Callable[[], bytes]:
    return lambda: encoded(form, picture(), **options)


def _photo_in(mode: str) -> Callable[[], Image.Image]:
    return lambda: photograph().convert(mode)


SOURCES: Final[dict[str, Callable[[], bytes]]] = {
    "photograph jpeg": _through(photograph, "JPEG", quality=85),
    "photograph jpeg of low quality": _through(photograph, "JPEG", quality=40),
    "photograph png": _through(photograph, "PNG"),
    "photograph webp": _through(photograph, "WEBP", quality=60),
    "photograph avif": _through(photograph, "AVIF", quality=60),
    "photograph tiff": _through(photograph, "TIFF", compression="tiff_lzw"),
    "photograph bmp": _through(photograph, "BMP"),
    "photograph gif": _through(lambda: photograph().quantize(256), "GIF"),
    "photograph with opaque alpha": _through(_photo_in("RGBA"), "PNG"),
    "grey photograph jpeg": _through(_photo_in("L"), "JPEG", quality=85),
    "grey photograph png": _through(_photo_in("L"), "PNG"),
    "grey photograph as colours": _through(lambda: photograph().convert("L").convert("RGB"), "JPEG", quality=85),
    "grey photograph with alpha": _through(_photo_in("LA"), "PNG"),
    "screenshot png": _through(screenshot, "PNG", optimize=True),
    "screenshot palette": _through(lambda: screenshot().quantize(16), "PNG", optimize=True),
    "screenshot jpeg": _through(screenshot, "JPEG", quality=70),
    "screenshot webp lossless": _through(screenshot, "WEBP", lossless=True),
    "screenshot gif": _through(screenshot, "GIF"),
    "screenshot with opaque alpha": _through(lambda: screenshot().convert("RGBA"), "PNG", optimize=True),
    "screenshot bits": _through(lambda: screenshot().convert("1"), "PNG", optimize=True),
    "screenshot fax": _through(lambda: screenshot().convert("1"), "TIFF", compression="group4"),
    "screenshot tiff": _through(screenshot, "TIFF", compression="tiff_adobe_deflate"),
    "one pixel": _through(lambda: Image.new("RGB", (1, 1)), "PNG"),
    "four colours": _through(quarters, "PNG", optimize=True),
    "moving gif": lambda: animation("GIF", 8),
    "moving png": lambda: animation("PNG", 8),
    "moving webp": lambda: animation("WEBP", 8),
    "moving avif": lambda: animation("AVIF", 8),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("share", [1, 0.6])
def test_the_file_does_not_grow(run: Run, context: JobContext, name: str, share: float) -> None:
    content = SOURCES[name]()
    source = run(content, "bin", format="auto")[0]
    width = max(1, round(source.source_width * share))
    picture = source if share == 1 else run(content, "bin", format="auto", width=width)[0]
    reason = "larger than the source: its pixels, as they are now"
    assert picture.size <= len(content) or (share < 1 and any(reason in line for line in context.warnings)), picture


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("grey photograph png", "jpeg"),
        ("grey photograph jpeg", "jpeg"),
        ("grey photograph as colours", "jpeg"),
        ("photograph with opaque alpha", "jpeg"),
        ("photograph png", "jpeg"),
        ("screenshot png", "png"),
        ("screenshot bits", "png"),
        ("screenshot palette", "png"),
        ("screenshot with opaque alpha", "png"),
        ("moving gif", "webp"),
    ],
)
def test_the_format_suits_the_content(run: Run, name: str, form: str) -> None:
    assert run(SOURCES[name](), "bin", format="auto")[0].format == form


def test_drawings_lose_nothing(run: Run) -> None:
    for name in ("screenshot png", "screenshot palette", "screenshot webp lossless", "screenshot with opaque alpha"):
        content = SOURCES[name]()
        result = run(content, "bin", format="auto")[1]
        with Image.open(io.BytesIO(content)) as source:
            assert result.convert("RGB").tobytes() == source.convert("RGB").tobytes(), name


def test_a_quality_that_is_asked_for_is_the_reason_to_grow(run: Run, context: JobContext) -> None:
    content = encoded("WEBP", photograph(), quality=20)
    picture, _ = run(content, "webp", format="auto", quality=90)
    assert (picture.quality, picture.size > len(content)) == (90, True)
    lowered, _ = run(content, "webp", format="auto")
    assert lowered.size <= len(content) or lowered.quality == 80
    assert any("so that the file is no larger than the source" in line for line in context.warnings) == (
        lowered.quality != 80
    )


def test_a_palette_of_the_source_stays_one(run: Run) -> None:
    content = SOURCES["screenshot palette"]()
    picture, result = run(content, "png")
    assert (result.mode, picture.size <= len(content)) == ("P", True)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
def test_lossless_keeps_every_pixel(run: Run, form: str) -> None:
    content = encoded(form, photograph())
    with Image.open(io.BytesIO(content)) as source:
        for request in ({"format": "auto"}, {"format": "webp"}):
            result = run(content, form.lower(), lossless=True, **request)[1]
            assert ImageChops.difference(result.convert("RGB"), source.convert("RGB")).getbbox() is None


def test_a_lossless_jpeg_is_told_to_be_none(run: Run, context: JobContext) -> None:
    run(photograph(), format="jpeg", lossless=True)
    assert context.warnings == ["jpeg is never without loss: send format png or webp for lossless=true."]


def test_a_coarse_photograph_stays_one(run: Run) -> None:
    """It has few colours next to each other, as a drawing has, and must not become one."""
    with Image.open(PHOTO) as photo:
        content = encoded("JPEG", photo.resize((800, 534)), quality=15)
    picture, result = run(content, "jpg", format="auto", rotate=90)
    assert picture.format != "png"
    with Image.open(io.BytesIO(content)) as source:
        turned = source.convert("RGB").transpose(Image.Transpose.ROTATE_270)
    assert max(ImageStat.Stat(ImageChops.difference(result.convert("RGB"), turned)).rms) < 8


def test_max_bytes_is_kept_in_another_format_where_the_best_one_cannot(run: Run) -> None:
    bound = len(encoded("WEBP", photograph(), quality=5)) + 20
    assert bound < len(encoded("JPEG", photograph(), quality=5))
    picture, _ = run(photograph(), format="auto", max_bytes=bound)
    assert (picture.format, picture.size <= bound) == ("webp", True)
    with pytest.raises(JobError, match="jpeg of 300 x 200 pixels needs at least"):
        run(photograph(), format="auto", max_bytes=100)


def test_a_large_result_is_not_encoded_again_and_again(
    run: Run, context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "_SEARCHED", 50_000)
    run(encoded("WEBP", photograph(), quality=10), "webp", format="auto")
    assert context.warnings == [
        "The result is larger than the source: it has too many pixels to look for a smaller form."
    ]
