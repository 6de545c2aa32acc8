"""Guarded opening: refused pictures, and their messages."""

from __future__ import annotations

import struct
import zlib

import pytest
from PIL import Image, ImageFile

from offloop.errors import JobError, LimitExceeded
from support.files.pictures import Run, encoded, png_chunk, png_head


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "GIF", "TIFF", "BMP", "ICO"])
def test_a_truncated_picture_fails_with_a_message(run: Run, form: str) -> None:
    whole = encoded(form)
    for kept in (len(whole) // 2, len(whole) - 600, 20):
        with pytest.raises(JobError, match=r"damaged|not a picture") as failed:
            run(whole[:kept], form.lower(), format="png")
        assert failed.value.reason in {"damaged_image", "not_an_image"}


def test_truncated_pictures_fail_whatever_other_libraries_have_set(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(JobError, match="cut off"):
        run(encoded("JPEG")[:4000], "jpg")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"just text", "not a picture"),
        (b"\xff\xd8", "not a picture"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n", "PostScript"),
        (b"8BPS\x00\x01" + bytes(60), "a Photoshop file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"icns" + bytes(60), "an Apple icon"),
        (encoded("JPEG2000"), "a JPEG 2000 picture"),
        (encoded("PPM"), "not a picture"),
        (encoded("TGA"), "not a picture"),
    ],
)
def test_a_file_that_is_no_accepted_picture_is_named(run: Run, content: bytes, words: str) -> None:
    with pytest.raises(JobError) as failed:
        run(content, "jpg")  # the name says JPEG, the bytes do not
    assert words in failed.value.message
    assert "JPEG, PNG, WebP" in failed.value.message or words == "empty"
    assert failed.value.reason == "not_an_image"


def test_only_the_decoder_for_the_first_bytes_is_tried(run: Run) -> None:
    with pytest.raises(JobError, match="damaged") as failed:
        run(b"\xff\xd8\xff\xe0" + encoded("PNG"), "png")
    assert failed.value.reason == "damaged_image"


@pytest.mark.parametrize("size", [(10_001, 10_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_before_any_is_decoded(run: Run, size: tuple[int, int]) -> None:
    with pytest.raises(LimitExceeded, match="more than the 100,000,000 that are decoded") as failed:
        run(png_head(*size))
    assert f"{size[0] * size[1]:,}" in failed.value.message


def test_a_small_file_that_decompresses_to_a_huge_picture_is_refused(run: Run) -> None:
    bomb = encoded("PNG", Image.new("1", (12_000, 12_000)))
    assert len(bomb) < 50_000
    with pytest.raises(LimitExceeded, match="144,000,000"):
        run(bomb)


def test_an_icon_may_not_hide_a_huge_picture(run: Run) -> None:
    bomb = encoded("PNG", Image.new("1", (12_000, 12_000)))
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(bomb), 22)
    with pytest.raises(LimitExceeded, match="100,000,000"):
        run(struct.pack("<HHH", 0, 1, 1) + entry + bomb, "ico", format="png")


def test_compressed_texts_beyond_the_limit_are_refused(run: Run) -> None:

    text = png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(50_000_000), 9))
    with pytest.raises(JobError, match="damaged"):
        run(png_head(10, 10, text))


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_damaged_pixels_are_not_taken_for_damaged_metadata(run: Run, form: str) -> None:
    """Reading the EXIF of a PNG decodes it; the picture went on half decoded."""
    # One and the same picture: of random ones, one in forty still decodes, since libtiff checks no sum.
    picture = Image.radial_gradient("L").convert("RGB")
    content = bytearray(encoded(form, picture, compression="tiff_adobe_deflate"))  # which PNG has no use for
    middle = len(content) // 2
    content[middle : middle + 40] = b"\xff" * 40
    with pytest.raises(JobError, match="damaged"):
        run(bytes(content), form.lower(), format="png")
