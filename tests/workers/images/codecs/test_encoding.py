"""Encoding: file size, quality, format by content, kept metadata."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageDraw

from offloop.errors import JobError
from offloop.kinds.job_context import JobContext
from support.files import profiles
from support.files.pictures import PHOTO, Run, animation, colour_at, encoded, quarters


@pytest.mark.parametrize("form", ["jpeg", "webp", "avif"])
def test_max_bytes_lowers_the_quality_as_little_as_needed(run: Run, form: str) -> None:
    asked = {"width": 300, "format": form, "quality": 90}
    free = run(PHOTO.read_bytes(), "jpg", **asked)[0]
    bound = free.size * 2 // 3
    result = run(PHOTO.read_bytes(), "jpg", **asked, max_bytes=bound)[0]
    assert result.size <= bound
    assert result.quality is not None
    assert 5 <= result.quality < 90
    one_more = run(PHOTO.read_bytes(), "jpg", **{**asked, "quality": result.quality + 1})[0]
    assert one_more.size > bound


def test_max_bytes_that_is_kept_anyway_changes_nothing(run: Run) -> None:
    assert run(quarters(), format="jpeg", max_bytes=100_000)[0].quality == 80


def test_max_bytes_reduces_the_colours_of_a_png_with_a_warning(run: Run, context: JobContext) -> None:
    free = run(PHOTO.read_bytes(), "jpg", width=200, format="png")[0].size
    result = run(PHOTO.read_bytes(), "jpg", width=200, format="png", max_bytes=free // 3)[0]
    assert result.size <= free // 3
    assert any("colours to fit max_bytes" in line for line in context.warnings)


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "bmp"])
def test_max_bytes_out_of_reach_fails_with_what_would_be_possible(run: Run, context: JobContext, form: str) -> None:
    with pytest.raises(JobError, match="Ask for a smaller width") as failed:
        run(Image.effect_noise((300, 300), 90).convert("RGB"), format=form, max_bytes=200)
    assert failed.value.reason == "max_bytes"
    assert context.artifacts == []


def test_lossless_keeps_every_pixel(run: Run) -> None:
    source = Image.effect_noise((40, 40), 90).convert("RGB")
    result = run(source, format="webp", lossless=True)
    assert result[1].convert("RGB").tobytes() == source.tobytes()
    assert result[0].quality is None


def test_progressive_is_as_asked(run: Run) -> None:
    assert run(quarters(), format="jpeg")[1].info.get("progressive")
    assert not run(quarters(), format="jpeg", progressive=False)[1].info.get("progressive")


def drawing(mode: str = "RGB") -> Image.Image:
    """A picture of few colours with hard edges."""
    picture = Image.new(mode, (300, 200), (255, 255, 255, 0)[: len(mode)])
    draw = ImageDraw.Draw(picture)
    draw.rectangle((20, 20, 150, 150), fill="#cc2222")
    draw.ellipse((100, 60, 280, 190), fill="#2244cc")
    return picture


def photograph(mode: str = "RGB") -> Image.Image:
    """A picture in which hardly a colour repeats."""
    with Image.open(PHOTO) as picture:
        small = picture.resize((300, 200)).convert(mode)
    if mode == "RGBA":
        small.putalpha(Image.linear_gradient("L").resize(small.size))
    return small


@pytest.mark.parametrize(
    ("source", "form"),
    [
        (photograph(), "jpeg"),
        (photograph("RGBA"), "webp"),
        (drawing(), "png"),
        (drawing("RGBA"), "png"),
        (Image.new("RGB", (300, 200), "red"), "png"),
    ],
)
def test_auto_chooses_by_content(run: Run, source: Image.Image, form: str) -> None:
    assert run(source, format="auto")[0].format == form


def test_auto_keeps_an_animation_moving(run: Run) -> None:
    result = run(animation("GIF"), "gif", format="auto")[0]
    assert (result.format, result.frames) == ("webp", 4)


def test_an_icon_holds_several_sizes_and_is_scaled_down(run: Run, context: JobContext) -> None:
    result = run(quarters(600, 600), format="ico")[0]
    assert (result.width, result.height) == (256, 256)
    with Image.open(context.artifacts[-1].path) as icon:
        assert {(16, 16), (32, 32), (48, 48), (256, 256)} <= icon.info["sizes"]
    assert any("at most 256 x 256" in line for line in context.warnings)


def test_a_background_fills_transparency_in_every_format(run: Run) -> None:
    for form in ("png", "webp", "gif", "jpeg", "bmp"):
        result = run(Image.new("RGBA", (20, 20), (0, 0, 0, 0)), format=form, background="#0000ff")[1]
        pixel = result.convert("RGBA").getpixel((5, 5))
        assert isinstance(pixel, tuple)
        assert pixel[2] > 240
        assert pixel[3] == 255


def noted() -> Image.Exif:
    """Metadata with entries that may be kept and others that may not."""
    exif = Image.Exif()
    exif[0x010F], exif[0x8298], exif[0x013B], exif[0x9C9B] = "Camera", "(c) me", "Me", b"t\0i\0"
    exif[0x0112] = 3
    exif.get_ifd(0x8769).update(
        {0x829A: 0.01, 0xA431: "serial 12345", 0x927C: b"maker note", 0x9003: "2024:05:06 07:08:09"}
    )
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 30.0, 0.0), 3: "E", 4: (9.0, 0.0, 0.0)})
    return exif


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "avif"])
def test_kept_metadata_is_without_position_serial_and_orientation(run: Run, context: JobContext, form: str) -> None:
    run(quarters(), "jpg", save={"exif": noted()}, format=form, keep_metadata=["exif"])
    with Image.open(context.artifacts[-1].path) as result:
        exif = result.getexif()
        assert (exif[0x010F], exif[0x8298]) == ("Camera", "(c) me")
        assert exif.get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"
        assert not exif.get_ifd(0x8825)
        assert exif.get(0x0112, 1) == 1
    content = context.artifacts[-1].path.read_bytes()
    assert b"serial 12345" not in content
    assert b"maker note" not in content


def test_position_stays_only_when_it_is_asked_for(run: Run, context: JobContext) -> None:
    run(quarters(), "jpg", save={"exif": noted()}, keep_metadata=["gps"])
    with Image.open(context.artifacts[-1].path) as result:
        assert result.getexif().get_ifd(0x8825)[1] == "N"
        assert 0x010F not in result.getexif()
    run(quarters(), "jpg", save={"exif": noted()}, keep_metadata=["copyright"])
    with Image.open(context.artifacts[-1].path) as result:
        assert {0x8298, 0x013B} <= set(result.getexif())
        assert 0x010F not in result.getexif()


def test_a_kept_profile_leaves_the_colours_as_they_are(run: Run, context: JobContext) -> None:
    swapped = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = swapped.index(b"rXYZ", 128), swapped.index(b"bXYZ", 128)
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
    result = run(quarters(), save={"icc_profile": bytes(swapped)}, keep_metadata=["icc"])[1]
    assert result.info["icc_profile"] == bytes(swapped)
    assert result.getpixel((5, 5)) == (255, 0, 0)
    run(quarters().convert("CMYK"), "jpg", save={"icc_profile": bytes(swapped)}, keep_metadata=["icc"])
    assert any("does not fit" in line for line in context.warnings)


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "avif", "tiff", "gif", "bmp"])
@pytest.mark.parametrize(
    "steps",
    [
        {},
        {"greyscale": True},
        {"redact": [{"left": 1, "top": 1, "width": 9, "height": 9, "colour": "#ff0000"}]},
        {"text_overlays": [{"text": "x"}]},
        {"width": 9, "height": 9, "fit": "pad", "background": "#ff0000"},
    ],
)
def test_a_kept_profile_is_one_for_the_colours_of_the_result(
    run: Run, context: JobContext, form: str, steps: dict[str, Any]
) -> None:
    """Else readers ignore it, and the colours are wrong; where it cannot stay, they are converted to sRGB."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey = Image.new("L", (80, 40), 128)
    for source, profile in (
        (grey, profiles.linear_grey()),
        (quarters(), srgb),
        (grey.convert("RGB").quantize(2), srgb),
    ):
        context.warnings.clear()
        _, result = run(source, save={"icc_profile": profile}, format=form, keep_metadata=["icc"], **steps)
        kept = result.info.get("icc_profile")
        if kept is None:
            assert [line for line in context.warnings if "converted to sRGB" in line]
            if source is grey and not steps:
                assert abs(colour_at(result, 0.5, 0.5)[0] - 188) < 5  # half of the light
        else:
            space = ImageCms.ImageCmsProfile(io.BytesIO(kept)).profile.xcolor_space.strip()
            assert space == ("GRAY" if result.mode in {"1", "L", "LA"} else "RGB")


def test_resolution_stays_when_it_is_asked_for_and_fits(run: Run, context: JobContext) -> None:
    result = run(quarters(), "jpg", save={"dpi": (300, 300)}, keep_metadata=["dpi"])[1]
    assert result.info["dpi"] == (300, 300)
    run(quarters(), "jpg", save={"dpi": (300, 300)}, keep_metadata=["dpi"], format="webp")
    assert any("webp has no room for dpi" in line for line in context.warnings)
    run(quarters(), "jpg", save={"exif": noted(), "dpi": (300, 300)}, keep_metadata=["dpi", "exif"], format="tiff")
    assert any("tiff has no room for exif" in line for line in context.warnings)


@pytest.mark.parametrize("options", [{"page": 2}, {"page": 3}])
def test_one_page_of_many_is_taken(run: Run, options: dict[str, Any]) -> None:
    pages = [Image.new("RGB", (20, 20), colour) for colour in ("#ff0000", "#00ff00", "#0000ff")]
    source = encoded("TIFF", pages[0], save_all=True, append_images=pages[1:])
    result = run(source, "tiff", format="png", **options)[1]
    assert result.getpixel((5, 5)) == ((0, 255, 0) if options["page"] == 2 else (0, 0, 255))
    with pytest.raises(JobError, match="the source has 3"):
        run(source, "tiff", page=4)
