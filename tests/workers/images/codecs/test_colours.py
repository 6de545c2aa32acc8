"""Colour conversion: embedded profiles of every colour space, with and without alpha, and profiles that do not fit."""

from __future__ import annotations

import pytest
from PIL import Image

from offloop.jobs.images import ImageToDescribe
from offloop.kinds.job_context import JobContext
from offloop_workers.images import describe as description
from offloop_workers.raster import colours
from support.files import profiles
from support.files.pictures import Keep, Run, colour_at, quarters

LINEAR_HALF = 188
"""Half of the light in sRGB."""


def _swapped() -> bytes:
    """An sRGB profile with red and blue exchanged."""
    profile = bytearray(profiles.srgb())
    red, blue = profile.index(b"rXYZ", 128), profile.index(b"bXYZ", 128)
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


def test_grey_is_converted_from_its_profile_and_stays_grey(run: Run) -> None:
    result = run(Image.new("L", (4, 4), 128), save={"icc_profile": profiles.linear_grey()})[1]
    assert (result.mode, abs(colour_at(result, 0.5, 0.5)[0] - LINEAR_HALF) <= 1) == ("L", True)


@pytest.mark.parametrize("alpha", [0, 77, 255])
def test_alpha_is_kept_beside_grey_that_a_profile_converts(run: Run, alpha: int) -> None:
    result = run(Image.new("LA", (4, 4), (128, alpha)), save={"icc_profile": profiles.linear_grey()})[1]
    pixel = result.convert("LA").getpixel((1, 1))
    assert isinstance(pixel, tuple)
    assert (pixel[1], abs(pixel[0] - LINEAR_HALF) <= 1) == (alpha, True)


def test_alpha_is_kept_beside_colours_that_a_profile_converts(run: Run) -> None:
    picture = Image.new("RGBA", (4, 4), (255, 0, 0, 99))
    assert run(picture, save={"icc_profile": _swapped()})[1].getpixel((1, 1)) == (0, 0, 255, 99)


def test_inks_are_converted_from_their_profile(run: Run) -> None:
    """Without the profile, cyan ink would be cyan."""
    inks = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    red, green, blue = colour_at(run(inks, "jpg", format="png", save={"icc_profile": profiles.red_cyan()})[1], 0.5, 0.5)
    assert (red > 200, green < 60, blue < 60) == (True, True, True)
    red, green, blue = colour_at(run(inks, "jpg", format="png")[1], 0.5, 0.5)
    assert (red < 60, green > 100, blue > 150) == (True, True, True)


def test_a_profile_of_another_colour_space_is_not_used(context: JobContext) -> None:
    """No warning: the colours are those that every viewer shows."""
    for picture, profile in (
        (quarters(), profiles.linear_grey()),
        (Image.new("L", (4, 4), 128), profiles.srgb()),
        (Image.new("CMYK", (4, 4)), profiles.srgb()),
    ):
        converted = colours.to_srgb(picture, profile, context)
        assert converted.tobytes() == colours.to_srgb(picture, None, context).tobytes()
        assert not colours.fits_profile(picture, profile)
    assert context.warnings == []


@pytest.mark.parametrize("profile", [b"nonsense" * 40, profiles.srgb()[:200], b"\0"], ids=["other", "cut", "short"])
def test_an_unreadable_profile_fits_no_picture_and_has_no_name(context: JobContext, profile: bytes) -> None:
    assert colours.to_srgb(quarters(), profile, context).tobytes() == quarters().tobytes()
    assert [line for line in context.warnings if "colour profile cannot be used" in line] == context.warnings != []
    assert not colours.fits_profile(quarters(), profile)
    assert colours.profile_name(profile) is None


def test_an_unreadable_profile_is_not_kept(run: Run) -> None:
    result = run(quarters(), save={"icc_profile": b"nonsense" * 40}, keep_metadata=["icc"])[1]
    assert "icc_profile" not in result.info


@pytest.mark.parametrize(
    ("name", "found"), [("Linear grey", "Linear grey"), ("a\tb\x07c ", "abc"), ("x" * 300, "x" * 120), ("", None)]
)
def test_the_name_of_a_profile_is_one_short_printable_line(
    keep: Keep, context: JobContext, name: str, found: str
) -> None:
    reference = keep("grey.png", Image.new("L", (4, 4)), icc_profile=profiles.linear_grey(name))
    described = description.describe(ImageToDescribe.model_validate({"image": reference}), context)
    assert described.colour_profile == found
