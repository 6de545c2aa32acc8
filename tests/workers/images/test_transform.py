"""Transformations: formats, colours, orientation, sizes, names."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image, ImageCms

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.images import FORMATS, Transformation
from offloop.kinds.job_context import JobContext
from offloop_workers.images import transform as module
from support.files.pictures import Run, corners, encoded, quarters


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_is_written(run: Run, form: str) -> None:
    picture, result = run(quarters(), format=form)
    assert (picture.format, result.format) == (form, form.upper())
    assert corners(result) == "rgbw"


@pytest.mark.parametrize("form", ["jpg", "png", "webp", "avif", "gif", "tiff", "bmp", "ico"])
def test_each_format_is_read_and_kept(run: Run, context: JobContext, form: str) -> None:
    picture, result = run(quarters(64, 64), form)
    assert corners(result) == "rgbw"
    assert picture.format == picture.source_format == form.replace("jpg", "jpeg")
    assert context.warnings == []


def test_heic_is_read_and_becomes_a_format_that_suits_it(run: Run, context: JobContext) -> None:
    picture, result = run(quarters(), "heic", save={"quality": 90}, width=40)
    assert corners(result) == "rgbw"
    assert (picture.source_format, picture.format) == ("heif", "png")
    assert any("HEIC is read but not written" in line for line in context.warnings)


def test_the_orientation_of_heic_is_applied_once(run: Run) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source = quarters().transpose(Image.Transpose.ROTATE_90)
    source.info["exif"] = exif.tobytes()  # the encoder notes it twice, as phones do: for the decoder, and in the EXIF
    picture, result = run(source, "heic", save={"quality": 90}, format="png")
    assert corners(result) == "rgbw"
    assert (picture.source_width, picture.source_height) == (80, 40)


@pytest.mark.parametrize(
    ("request_", "size"),
    [
        ({}, (80, 40)),
        ({"width": 40}, (40, 20)),
        ({"height": 10}, (20, 10)),
        ({"width": 30, "height": 30}, (30, 15)),
        ({"width": 4000, "height": 4000}, (80, 40)),
        ({"width": 30, "height": 30, "fit": "fill"}, (30, 30)),
        ({"width": 30, "height": 30, "fit": "stretch"}, (30, 30)),
        ({"width": 30, "height": 30, "fit": "contain"}, (30, 15)),
        ({"width": 30, "height": 30, "fit": "cover"}, (30, 30)),
        ({"width": 30, "height": 30, "fit": "pad"}, (30, 30)),
        ({"width": 200, "height": 100, "fit": "pad"}, (200, 100)),
        ({"width": 1, "height": 1}, (1, 1)),
        ({"width": 30, "rotate": 90}, (30, 60)),
    ],
)
def test_the_result_fits_the_box_as_asked(run: Run, request_: dict[str, Any], size: tuple[int, int]) -> None:
    assert run(quarters(), **request_)[1].size == size


def test_a_very_long_picture_keeps_at_least_one_pixel(run: Run) -> None:
    assert run(Image.new("RGB", (3000, 1)), width=10)[1].size == (10, 1)


def test_cover_keeps_the_middle_even_of_an_extreme_shape(run: Run) -> None:
    source = Image.new("RGB", (3000, 4), "black")
    source.paste("red", (1400, 0, 1600, 4))
    _, result = run(source, width=50, height=50, fit="cover")
    assert corners(result) == "rrrr"


def test_pad_is_transparent_where_the_format_is_and_coloured_where_not(run: Run) -> None:
    result = run(quarters(), width=100, height=100, fit="pad", format="webp")[1]
    assert result.getpixel((50, 2)) == (0, 0, 0, 0)
    result = run(quarters(), width=100, height=100, fit="pad", format="jpeg", background="#0000ff")[1]
    pixel = result.getpixel((50, 2))
    assert isinstance(pixel, tuple)
    assert pixel[2] > 240
    assert pixel[0] < 15


@pytest.mark.parametrize(("degrees", "seen"), [(0, "rgbw"), (90, "brwg"), (180, "wbgr"), (270, "gwrb")])
def test_rotation_is_clockwise(run: Run, degrees: int, seen: str) -> None:
    assert corners(run(quarters(), rotate=degrees)[1]) == seen


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["jpg", "png"])
def test_orientation_in_the_metadata_is_applied_and_removed(run: Run, orientation: int, form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Camera"
    undo = [None, 0, 3, 1, 5, 2, 6, 4][orientation - 1]  # the transposition that this orientation undoes
    source = quarters() if undo is None else quarters().transpose(Image.Transpose(undo))
    picture, result = run(source, form, save={"exif": exif}, width=40)
    assert corners(result) == "rgbw"
    assert result.size == (40, 20)
    assert (picture.source_width, picture.source_height) == (80, 40)
    assert not result.info["exif_"]


def test_orientation_can_be_left_alone(run: Run) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    assert corners(run(quarters(), "jpg", save={"exif": exif}, orient=False)[1]) == "rgbw"


def test_a_large_jpeg_is_shrunk_while_decoding_and_stays_exact(run: Run) -> None:
    picture, result = run(quarters(4000, 2000), "jpg", width=333, height=333, fit="cover")
    assert result.size == (333, 333)
    assert corners(result) == "rgbw"
    assert (picture.source_width, picture.source_height) == (4000, 2000)


def test_metadata_does_not_survive(run: Run) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8825)[1] = "N"
    for form in ("jpeg", "png", "webp", "avif"):
        save = {"exif": exif, "comment": b"secret", "dpi": (300, 300), "xmp": b"<x/>"}
        result = run(quarters(), "jpg", save=save, format=form)[1]
        assert not result.info["exif_"]
        assert not {"comment", "xmp", "icc_profile", "exif"} & set(result.info)


def test_a_tiff_that_needs_no_change_loses_its_metadata_too(run: Run, context: JobContext) -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret"
    exif.get_ifd(0x8825)[1] = "N"
    assert run(quarters(), "tiff", save={"exif": exif})[0].format == "tiff"
    content = context.artifacts[-1].path.read_bytes()
    assert b"secret" not in content


def test_a_picture_too_long_for_readers_of_avif_is_refused(run: Run) -> None:
    assert run(Image.new("L", (1, 32_768)), format="avif")[1].size == (1, 32_768)
    with pytest.raises(JobError, match=r"avif pictures have at most 32,768 pixels a side"):
        run(Image.new("L", (1, 32_769)), format="avif")


def test_an_embedded_profile_is_converted_to_srgb(run: Run) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    result = run(quarters(), save={"icc_profile": profile})[1]
    assert corners(result) == "rgbw"  # a profile of another colour space does not fit and is not used
    swapped = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = swapped.index(b"rXYZ", 128), swapped.index(b"bXYZ", 128)
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
    result = run(quarters(), save={"icc_profile": bytes(swapped)})[1]
    assert corners(result) == "bgrw"
    assert "icc_profile" not in result.info


def test_a_broken_profile_is_a_warning(run: Run, context: JobContext) -> None:
    assert corners(run(quarters(), save={"icc_profile": b"nonsense" * 40})[1]) == "rgbw"
    assert any("colour profile" in line for line in context.warnings)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"])
@pytest.mark.parametrize("form", FORMATS)
def test_every_colour_mode_becomes_every_format(run: Run, mode: str, form: str) -> None:
    grey = Image.new("L", (20, 20), 200)
    source = grey.convert("I") if mode == "I;16" else grey.convert("RGB") if mode in {"YCbCr", "CMYK"} else grey
    source = Image.new("LAB", (20, 20), (255, 128, 128)) if mode == "LAB" else source.convert(mode)
    result = run(source, "tiff", format=form, width=10)[1]
    assert result.size == (10, 10)
    level = result.convert("RGB").getpixel((5, 5))
    assert isinstance(level, tuple)
    assert level[0] in (range(2) if mode in {"I", "I;16"} else range(180, 256))  # 200 of 65,535 is black


def test_a_cmyk_jpeg_keeps_its_colours(run: Run) -> None:
    assert corners(run(quarters().convert("CMYK"), "jpg", format="png")[1]) == "rgbw"
    assert corners(run(quarters().convert("CMYK"), "jpg", format="png", width=20)[1]) == "rgbw"


def test_sixteen_bit_grey_keeps_its_tones(run: Run) -> None:
    source = Image.new("I;16", (20, 20), 0x8000)
    value = run(source, "png", format="png", width=10)[1].convert("L").getpixel((5, 5))
    assert isinstance(value, (int, float))
    assert 126 <= value <= 129


@pytest.mark.parametrize(("low", "high", "warned"), [(0.0, 1.0, False), (0.0, 255.0, False), (-1000.0, 3000.0, True)])
def test_numbers_with_a_fraction_become_tones(
    run: Run, context: JobContext, low: float, high: float, *, warned: bool
) -> None:
    source = Image.new("F", (40, 20), low)
    source.paste(high, (20, 0, 40, 20))
    result = run(source, "tiff", format="png")[1].convert("L")
    assert (result.getpixel((5, 5)), result.getpixel((35, 5))) == (0, 255)
    small = run(source, "tiff", format="png", width=20)[1].convert("L")
    row = small.tobytes()[: small.width]
    assert (row[2] <= 2, row[17] >= 253) == (True, True)
    assert any("spread from black to white" in line for line in context.warnings) == warned


def test_numbers_that_are_not_finite_are_warned_of(run: Run, context: JobContext) -> None:
    run(Image.new("F", (20, 20), float("inf")), "tiff", format="png")
    assert any("not all finite" in line for line in context.warnings)


def test_transparency_of_a_palette_survives_and_is_flattened_for_jpeg(run: Run) -> None:
    source = Image.new("P", (20, 20), 0)
    source.putpalette([255, 0, 0, 0, 255, 0])
    source.info["transparency"] = 0
    clear = run(source, "gif", format="webp")[1].getpixel((5, 5))
    assert isinstance(clear, tuple)
    assert clear[3] == 0
    pixel = run(source, "gif", format="jpeg", background="#0000ff")[1].getpixel((5, 5))
    assert isinstance(pixel, tuple)
    assert pixel[2] > 240


def test_the_first_frame_of_an_animation_is_used_with_a_warning(run: Run, context: JobContext) -> None:
    frames = [quarters(), Image.new("RGB", (80, 40), "black")]
    result = run(frames[0], "gif", save={"save_all": True, "append_images": frames[1:]}, format="png", width=40)[1]
    assert corners(result) == "rgbw"
    assert "The source has 2 frames or pages; the first was used." in context.warnings


def test_quality_changes_the_size(run: Run) -> None:
    noise = Image.effect_noise((200, 200), 60).convert("RGB")
    for form in ("jpeg", "webp", "avif"):
        assert run(noise, format=form, quality=20)[0].size < run(noise, format=form, quality=90)[0].size


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        ({"format": "webp"}, "source.webp"),
        ({"name": "thumb.png"}, "thumb.png"),
        ({"name": "thumb"}, "thumb.png"),
        ({"name": "a.JPEG", "format": "jpeg"}, "a.JPEG"),
        ({"name": "../../x.png"}, "x.png"),
    ],
)
def test_the_result_is_named_after_the_request_or_the_source(
    run: Run, context: JobContext, request_: dict[str, Any], name: str
) -> None:
    run(quarters(), **request_)
    assert context.artifacts[-1].name == name


def test_a_result_with_too_many_pixels_is_refused(run: Run) -> None:
    with pytest.raises(LimitExceeded, match="The result would have 16,384 x 16,384"):
        run(quarters(), width=16_384, height=16_384, fit="fill", enlarge=True)


def test_a_side_beyond_the_limit_of_the_format_is_refused(run: Run) -> None:
    with pytest.raises(JobError, match="webp pictures have at most 16,383 pixels a side"):
        run(Image.new("1", (17_000, 2)), format="webp")


def test_a_missing_file_fails_with_its_reference(context: JobContext) -> None:
    with pytest.raises(JobError, match=r"root:in/none\.png"):
        module.transform(Transformation.model_validate({"image": "root:in/none.png"}), context)


def test_a_failed_transformation_leaves_no_file(run: Run, context: JobContext) -> None:
    with pytest.raises(JobError):
        run(encoded("JPEG")[:3000], "jpg")
    assert list(context.folder.iterdir()) == []
    assert context.artifacts == []
