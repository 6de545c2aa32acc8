"""Describing pictures: what is told, and what is only told on request."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from PIL import Image, ImageEnhance

from offloop.errors import JobError
from offloop.jobs.images import Description, ImageToDescribe
from offloop.kinds.job_context import JobContext
from offloop_workers.images.describe import describe
from offloop_workers.images.fingerprints import blurhash, fingerprint
from support.files.pictures import PHOTO, Keep, animation, encoded, quarters


@pytest.fixture
def tell(context: JobContext, keep: Keep) -> Any:
    """Describe a picture."""

    def run(content: Image.Image | bytes, name: str = "a.png", **asked: Any) -> Description:
        reference = keep(name, content)
        return describe(ImageToDescribe.model_validate({"image": reference, **asked}), context)  # type: ignore[no-any-return]

    return run


def photographed() -> bytes:
    """A JPEG with all that cameras note."""
    exif = Image.Exif()
    exif.update({0x010F: "Maker", 0x0110: "M-1", 0x0112: 6, 0x013B: "A\0 Person"})
    exif.get_ifd(0x8769).update({0x829A: 0.005, 0x829D: 2.8, 0x8827: 400, 0x920A: 35.0, 0x9003: "2024:05:06 07:08:09"})
    exif.get_ifd(0x8825).update({1: "S", 2: (48.0, 30.0, 36.0), 3: "E", 4: (9.0, 15.0, 0.0), 5: b"\1", 6: 12.5})
    return encoded("JPEG", quarters(80, 40), exif=exif, dpi=(300, 300), progressive=True)


def test_what_a_camera_noted_is_told(tell: Any) -> None:
    content = photographed()
    told = tell(content, "a.jpg")
    assert (told.format, told.mime_type, told.mode) == ("jpeg", "image/jpeg", "RGB")
    assert (told.width, told.height) == (40, 80)
    assert told.exif is not None
    assert told.exif.model_dump(exclude_none=True) == {
        "make": "Maker",
        "model": "M-1",
        "taken_at": "2024-05-06T07:08:09",
        "orientation": 6,
        "exposure_seconds": 0.005,
        "aperture": 2.8,
        "iso": 400,
        "focal_length_mm": 35.0,
        "artist": "A Person",
    }
    assert told.dpi == (300, 300)
    assert told.progressive
    assert (told.size, told.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_position_is_told_only_on_request(tell: Any) -> None:
    told = tell(photographed(), "a.jpg")
    assert told.has_gps
    assert told.gps is None
    assert "48.51" not in told.model_dump_json()
    told = tell(photographed(), "a.jpg", gps=True)
    assert told.gps.model_dump() == {"latitude": -48.51, "longitude": 9.25, "altitude_m": -12.5}


def test_a_picture_without_metadata_has_none(tell: Any) -> None:
    told = tell(quarters())
    assert (told.exif, told.has_gps, told.gps, told.dpi, told.colour_profile) == (None, False, None, None, None)
    assert (told.frames, told.animated, told.duration_ms, told.has_alpha) == (1, False, None, False)


def test_an_animation_has_frames_and_a_duration(tell: Any) -> None:
    for form in ("GIF", "WEBP", "PNG", "AVIF"):
        told = tell(animation(form, 4, duration=[100, 200, 300, 400]), f"a.{form.lower()}")
        assert (told.frames, told.animated, told.duration_ms) == (4, True, 1000)


def test_heic_is_described(tell: Any) -> None:
    told = tell(encoded("HEIF", quarters()), "a.heic")
    assert (told.format, told.mime_type, told.width) == ("heif", "image/heic", 80)


def test_colours_are_told_with_their_shares(tell: Any) -> None:
    picture = Image.new("RGB", (100, 100), "#ff0000")
    picture.paste("#0000ff", (0, 0, 100, 30))
    told = tell(picture, colours=4)
    assert [colour.colour for colour in told.palette[:2]] == ["#ff0000", "#0000ff"]
    assert abs(told.palette[0].share - 0.7) < 0.02
    assert told.average_colour in {"#b2004d", "#b3004c", "#b2004c", "#b3004d"}
    assert not told.blank
    assert len(tell(Image.effect_noise((99, 99), 90), colours=7).palette) <= 7


def test_blank_pictures_are_said_to_be(tell: Any) -> None:
    told = tell(Image.new("RGB", (50, 50), "#123456"))
    assert told.blank
    assert told.entropy == 0
    assert told.average_colour == "#123456"


def test_transparent_pixels_do_not_count_as_colours(tell: Any) -> None:
    picture = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    picture.paste("#00ff00", (0, 0, 20, 20))
    told = tell(picture)
    assert told.has_alpha
    assert told.palette[0].colour == "#00ff00"


def test_hashes_stay_close_for_copies_and_go_far_for_others(tell: Any) -> None:
    with Image.open(PHOTO) as photo:
        source = photo.convert("RGB")
    first = fingerprint(source)
    copies = [
        source.resize((300, 200)),
        source.convert("L"),
        ImageEnhance.Brightness(source).enhance(1.1),
        source.crop((20, 15, source.width - 20, source.height - 15)),
    ]
    assert max(first.distance(fingerprint(copy)) for copy in copies) <= 8
    other = Image.linear_gradient("L").convert("RGB")
    other.paste("#ffffff", (100, 10, 240, 90))
    assert first.distance(fingerprint(other)) > 16
    told = tell(source)
    assert (len(told.dhash), len(told.phash)) == (16, 16)
    assert (int(told.phash, 16) ^ first.phash).bit_count() <= 4


def test_the_blurhash_is_one_that_others_can_read() -> None:
    """One colour has no waves; the first letters are the number of waves and the average colour."""
    assert blurhash(Image.new("RGB", (40, 30), "#000000")) == "L00000fQfQfQfQfQfQfQfQfQfQfQ"
    white = blurhash(Image.new("RGB", (30, 40), "#ffffff"))
    assert (white[0], len(white)) == ("T", 28)
    assert white[2:6] == "TSUA"


def test_what_cannot_be_read_fails_with_a_sentence(tell: Any) -> None:
    with pytest.raises(JobError, match="cut off"):
        tell(encoded("JPEG")[:3000], "a.jpg")
