"""Transforming pictures: real ones, and hostile ones."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageFile

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.images import Picture, Transformation
from offloop_workers.context import JobContext
from offloop_workers.images import transform as module

Run = Callable[..., tuple[Picture, Image.Image]]


@pytest.fixture
def context(tmp_path: Path) -> JobContext:
    """A context whose root ``in`` is a folder the tests write pictures to."""
    for name in ("job", "in"):
        (tmp_path / name).mkdir()
    return JobContext(
        job_id="job",
        attempt=1,
        folder=tmp_path / "job",
        inputs={},
        roots={"in": tmp_path / "in"},
        output_bytes=2**26,
        report=lambda _message: None,
    )


@pytest.fixture
def run(context: JobContext, tmp_path: Path) -> Run:
    """Transform a picture, or bytes, and open what came out."""

    def transform(source: Image.Image | bytes, form: str = "png", *, save: Any = None, **request: Any) -> Any:
        path = tmp_path / "in" / f"source.{form}"
        if isinstance(source, bytes):
            path.write_bytes(source)
        else:
            source.save(path, **(save or {}))
        picture = module.transform(Transformation.model_validate({"image": f"root:in/{path.name}", **request}), context)
        artifact = context.artifacts[-1]
        assert artifact.size == picture.size == artifact.path.stat().st_size
        opened = Image.open(artifact.path)
        opened.load()
        assert opened.size == (picture.width, picture.height)
        return picture, opened

    return transform


def quarters(width: int = 80, height: int = 40) -> Image.Image:
    """Red, green / blue, white: which way up it is can be seen."""
    picture = Image.new("RGB", (width, height), "white")
    half = (width // 2, height // 2)
    picture.paste("#ff0000", (0, 0, *half))
    picture.paste("#00ff00", (half[0], 0, width, half[1]))
    picture.paste("#0000ff", (0, half[1], half[0], height))
    return picture


def corners(picture: Image.Image) -> str:
    """The four quarters by their first letters, from the top left, row by row."""
    picture = picture.convert("RGB")
    names = {(1, 0, 0): "r", (0, 1, 0): "g", (0, 0, 1): "b", (1, 1, 1): "w", (0, 0, 0): "k"}
    found = ""
    for y in (0.25, 0.75):
        for x in (0.25, 0.75):
            pixel = picture.getpixel((int(picture.width * x), int(picture.height * y)))
            assert isinstance(pixel, tuple)
            found += names[tuple(round(value / 255) for value in pixel[:3])]  # type: ignore[index]
    return found


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "avif"])
def test_each_format_is_written(run: Run, form: str) -> None:
    picture, made = run(quarters(), format=form)
    assert (picture.format, made.format) == (form, form.upper())
    assert corners(made) == "rgbw"


@pytest.mark.parametrize("form", ["jpg", "png", "webp", "avif", "gif", "tiff", "bmp"])
def test_each_format_is_read(run: Run, context: JobContext, form: str) -> None:
    picture, made = run(quarters(), form)
    assert corners(made) == "rgbw"
    written = form.replace("jpg", "jpeg") if form in {"jpg", "png", "webp", "avif"} else "png"
    assert picture.format == written
    assert any("the result is PNG" in line for line in context.warnings) == (form in {"gif", "tiff", "bmp"})


@pytest.mark.parametrize(
    ("request_", "size"),
    [
        ({}, (80, 40)),
        ({"width": 40}, (40, 20)),
        ({"height": 10}, (20, 10)),
        ({"width": 30, "height": 30}, (30, 15)),
        ({"width": 4000, "height": 4000}, (80, 40)),
        ({"width": 30, "height": 30, "fit": "fill"}, (30, 30)),
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
    _, made = run(source, width=50, height=50, fit="cover")
    assert corners(made) == "rrrr"


def test_pad_is_transparent_where_the_format_is_and_coloured_where_not(run: Run) -> None:
    made = run(quarters(), width=100, height=100, fit="pad", format="webp")[1]
    assert made.getpixel((50, 2)) == (0, 0, 0, 0)
    made = run(quarters(), width=100, height=100, fit="pad", format="jpeg", background="#0000ff")[1]
    pixel = made.getpixel((50, 2))
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
    picture, made = run(source, form, save={"exif": exif}, width=40)
    assert corners(made) == "rgbw"
    assert made.size == (40, 20)
    assert (picture.source_width, picture.source_height) == (80, 40)
    assert not made.getexif()


def test_a_large_jpeg_is_shrunk_while_decoding_and_stays_exact(run: Run) -> None:
    picture, made = run(quarters(4000, 2000), "jpg", width=333, height=333, fit="cover")
    assert made.size == (333, 333)
    assert corners(made) == "rgbw"
    assert (picture.source_width, picture.source_height) == (4000, 2000)


def test_metadata_does_not_survive(run: Run) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8825)[1] = "N"
    for form in ("jpeg", "png", "webp", "avif"):
        save = {"exif": exif, "comment": b"secret", "dpi": (300, 300), "xmp": b"<x/>"}
        made = run(quarters(), "jpg", save=save, format=form)[1]
        assert not made.getexif()
        assert not {"comment", "xmp", "icc_profile", "exif"} & set(made.info)


def test_an_embedded_profile_is_converted_to_srgb(run: Run) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    made = run(quarters(), save={"icc_profile": profile})[1]
    assert corners(made) == "rgbw"  # a profile of another colour space does not fit and is not used
    swapped = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = swapped.index(b"rXYZ", 128), swapped.index(b"bXYZ", 128)
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
    made = run(quarters(), save={"icc_profile": bytes(swapped)})[1]
    assert corners(made) == "bgrw"
    assert "icc_profile" not in made.info


def test_a_broken_profile_is_a_warning(run: Run, context: JobContext) -> None:
    assert corners(run(quarters(), save={"icc_profile": b"nonsense" * 40})[1]) == "rgbw"
    assert any("colour profile" in line for line in context.warnings)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"])
@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "avif"])
def test_every_colour_mode_becomes_every_format(run: Run, mode: str, form: str) -> None:
    grey = Image.new("L", (20, 20), 200)
    source = grey.convert("I") if mode == "I;16" else grey.convert("RGB") if mode in {"YCbCr", "CMYK"} else grey
    source = Image.new("LAB", (20, 20), (255, 128, 128)) if mode == "LAB" else source.convert(mode)
    made = run(source, "tiff", format=form, width=10)[1]
    assert made.size == (10, 10)


def test_sixteen_bit_grey_keeps_its_tones(run: Run) -> None:
    source = Image.new("I;16", (20, 20), 0x8000)
    value = run(source, "png", format="png", width=10)[1].convert("L").getpixel((5, 5))
    assert isinstance(value, (int, float))
    assert 126 <= value <= 129


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
    made = run(frames[0], "gif", save={"save_all": True, "append_images": frames[1:]}, format="png")[1]
    assert corners(made) == "rgbw"
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


def encoded(form: str, source: Image.Image | None = None) -> bytes:
    """The bytes of a noisy picture in some format."""
    out = io.BytesIO()
    (source or Image.effect_noise((200, 200), 60).convert("RGB")).save(out, form)
    return out.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP"])
def test_a_picture_that_is_cut_off_fails_with_a_sentence(run: Run, form: str) -> None:
    whole = encoded(form)
    for kept in (len(whole) // 2, len(whole) - 600, 20):
        with pytest.raises(JobError, match=r"damaged|not a picture") as failed:
            run(whole[:kept], form.lower())
        assert failed.value.reason in {"damaged_image", "not_an_image"}


def test_other_libraries_cannot_make_cut_off_pictures_pass(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(JobError, match="cut off"):
        run(encoded("JPEG")[:4000], "jpg")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"just text", "not a picture"),
        (b"\xff\xd8\xff", "not a picture"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n", "PostScript"),
        (b"8BPS\x00\x01" + bytes(60), "a Photoshop file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(60), "a HEIC picture"),
        (encoded("PPM"), "not a picture"),
        (encoded("TGA"), "not a picture"),
        (encoded("ICO"), "an icon"),
    ],
)
def test_what_is_not_an_accepted_picture_is_named(run: Run, content: bytes, said: str) -> None:
    with pytest.raises(JobError) as failed:
        run(content, "jpg")  # the name says JPEG, the bytes do not
    assert said in failed.value.message
    assert failed.value.reason == "not_an_image"


def png_head(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(10_001, 10_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_before_any_is_decoded(run: Run, size: tuple[int, int]) -> None:
    with pytest.raises(LimitExceeded, match="more than the 100,000,000 that are decoded") as failed:
        run(png_head(*size))
    assert f"{size[0] * size[1]:,}" in failed.value.message


def test_a_small_file_that_unfolds_to_a_huge_picture_is_refused(run: Run) -> None:
    bomb = encoded("PNG", Image.new("1", (12_000, 12_000)))
    assert len(bomb) < 50_000
    with pytest.raises(LimitExceeded, match="144,000,000"):
        run(bomb)


def test_a_result_with_too_many_pixels_is_refused(run: Run) -> None:
    with pytest.raises(LimitExceeded, match="The result would have 16,384 x 16,384"):
        run(quarters(), width=16_384, height=16_384, fit="fill")


def test_a_side_that_the_format_cannot_hold_is_refused_in_words(run: Run) -> None:
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
