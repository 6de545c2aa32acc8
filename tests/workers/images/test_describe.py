"""Descriptions of pictures."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import pytest
from PIL import Image, ImageEnhance
from PIL.TiffImagePlugin import IFDRational

from offloop.errors import JobError
from offloop.jobs.images import Description, ImageToDescribe
from offloop.kinds.job_context import JobContext
from offloop.kinds.limits import Limits
from offloop_workers.images.describe import describe
from offloop_workers.images.fingerprints import blurhash, fingerprint
from support.files.pictures import PHOTO, Keep, animation, encoded, quarters


@pytest.fixture
def description_of(context: JobContext, keep: Keep) -> Any:
    """Describe a picture."""

    def run(content: Image.Image | bytes, name: str = "a.png", **asked: Any) -> Description:
        reference = keep(name, content)
        return describe(ImageToDescribe.model_validate({"image": reference, **asked}), context)  # type: ignore[no-any-return]

    return run


def photographed() -> bytes:
    """A JPEG with the metadata of a camera."""
    exif = Image.Exif()
    exif.update({0x010F: "Maker", 0x0110: "M-1", 0x0112: 6, 0x013B: "A\0 Person"})
    exif.get_ifd(0x8769).update({0x829A: 0.005, 0x829D: 2.8, 0x8827: 400, 0x920A: 35.0, 0x9003: "2024:05:06 07:08:09"})
    exif.get_ifd(0x8825).update({1: "S", 2: (48.0, 30.0, 36.0), 3: "E", 4: (9.0, 15.0, 0.0), 5: b"\1", 6: 12.5})
    return encoded("JPEG", quarters(80, 40), exif=exif, dpi=(300, 300), progressive=True)


def test_camera_metadata_is_described(description_of: Any) -> None:
    content = photographed()
    found = description_of(content, "a.jpg")
    assert (found.format, found.mime_type, found.mode) == ("jpeg", "image/jpeg", "RGB")
    assert (found.width, found.height) == (40, 80)
    assert found.exif is not None
    assert found.exif.model_dump(exclude_none=True) == {
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
    assert found.dpi == (300, 300)
    assert found.progressive
    assert (found.size, found.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_the_location_is_described_only_on_request(description_of: Any) -> None:
    found = description_of(photographed(), "a.jpg")
    assert found.has_gps
    assert found.gps is None
    assert "48.51" not in found.model_dump_json()
    found = description_of(photographed(), "a.jpg", gps=True)
    assert found.gps.model_dump() == {"latitude": -48.51, "longitude": 9.25, "altitude_m": -12.5}


def test_a_picture_without_metadata_has_none(description_of: Any) -> None:
    found = description_of(quarters())
    assert (found.exif, found.has_gps, found.gps, found.dpi, found.colour_profile) == (
        None,
        False,
        None,
        None,
        None,
    )
    assert (found.frames, found.animated, found.duration_ms, found.has_alpha) == (1, False, None, False)


def test_an_animation_has_frames_and_a_duration(description_of: Any) -> None:
    for form in ("GIF", "WEBP", "PNG", "AVIF"):
        found = description_of(animation(form, 4, duration=[100, 200, 300, 400]), f"a.{form.lower()}")
        assert (found.frames, found.animated, found.duration_ms) == (4, True, 1000)


def test_an_animation_too_large_to_be_played_has_no_duration(description_of: Any, context: JobContext) -> None:
    """All else is described; a smaller limit is that of the operator."""
    context.limits = dataclasses.replace(Limits(), pixels=60 * 40 * 5)
    assert description_of(animation("GIF", 5), "a.gif").duration_ms == 5 * 80
    assert context.warnings == []
    found = description_of(animation("GIF", 6), "a.gif")
    assert (found.frames, found.animated, found.duration_ms) == (6, True, None)
    assert [line for line in context.warnings if "(6 frames); its duration is not known" in line]


def test_inks_are_described_in_their_colours(description_of: Any) -> None:
    found = description_of(encoded("JPEG", Image.new("CMYK", (20, 10), (0, 255, 255, 0))), "a.jpg")
    assert (found.mode, found.blank, found.palette[0].colour[:2]) == ("CMYK", True, "#f")


@pytest.mark.parametrize(
    ("latitude", "found"),
    [
        ((48.0, 30.0, 36.0), 48.51),
        ((180.0, 0.0, 0.0), 180.0),
        ((200.0, 0.0, 0.0), None),
        ((48.0, 30.0), None),
        ((IFDRational(1, 0), 0.0, 0.0), None),
    ],
)
def test_a_location_that_is_none_is_left_out(description_of: Any, latitude: Any, found: float | None) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: latitude, 3: "E", 4: (9.0, 15.0, 0.0)})
    described = description_of(encoded("JPEG", quarters(), exif=exif), "a.jpg", gps=True)
    assert (described.has_gps, described.gps and described.gps.latitude) == (True, found)


def test_heic_is_described(description_of: Any) -> None:
    found = description_of(encoded("HEIF", quarters()), "a.heic")
    assert (found.format, found.mime_type, found.width) == ("heif", "image/heic", 80)


def test_colours_are_described_with_their_shares(description_of: Any) -> None:
    picture = Image.new("RGB", (100, 100), "#ff0000")
    picture.paste("#0000ff", (0, 0, 100, 30))
    found = description_of(picture, colours=4)
    assert [colour.colour for colour in found.palette[:2]] == ["#ff0000", "#0000ff"]
    assert abs(found.palette[0].share - 0.7) < 0.02
    assert found.average_colour in {"#b2004d", "#b3004c", "#b2004c", "#b3004d"}
    assert not found.blank
    assert len(description_of(Image.effect_noise((99, 99), 90), colours=7).palette) <= 7


def test_blank_pictures_are_recognised(description_of: Any) -> None:
    found = description_of(Image.new("RGB", (50, 50), "#123456"))
    assert found.blank
    assert found.entropy == 0
    assert found.average_colour == "#123456"


def test_transparent_pixels_do_not_count_as_colours(description_of: Any) -> None:
    picture = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    picture.paste("#00ff00", (0, 0, 20, 20))
    found = description_of(picture)
    assert found.has_alpha
    assert found.palette[0].colour == "#00ff00"


def test_hashes_stay_close_for_copies_and_go_far_for_others(description_of: Any) -> None:
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
    found = description_of(source)
    assert (len(found.dhash), len(found.phash)) == (16, 16)
    assert (int(found.phash, 16) ^ first.phash).bit_count() <= 4


def test_the_blurhash_is_one_that_others_can_read() -> None:
    """One colour has no waves; the first letters are the number of waves and the average colour."""
    assert blurhash(Image.new("RGB", (40, 30), "#000000")) == "L00000fQfQfQfQfQfQfQfQfQfQfQ"
    white = blurhash(Image.new("RGB", (30, 40), "#ffffff"))
    assert (white[0], len(white)) == ("T", 28)
    assert white[2:6] == "TSUA"


def test_an_unreadable_picture_fails_with_a_message(description_of: Any) -> None:
    with pytest.raises(JobError, match="cut off"):
        description_of(encoded("JPEG")[:3000], "a.jpg")
