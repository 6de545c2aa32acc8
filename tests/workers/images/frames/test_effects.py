"""Adjustments, redaction, overlays."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from PIL import Image, ImageStat

from offloop.errors import JobError
from offloop.kinds.job_context import JobContext
from support.files.pictures import Keep, Run, colour_at, corners, encoded, quarters


def test_greyscale_has_no_colour(run: Run) -> None:
    result = run(quarters(), greyscale=True)[1]
    assert result.mode == "L"
    assert run(quarters(), greyscale=True, format="webp")[0].format == "webp"


@pytest.mark.parametrize(("name", "low", "high"), [("brightness", 0.5, 2), ("contrast", 0.2, 3), ("saturation", 0, 3)])
def test_adjustments_go_in_their_direction(run: Run, name: str, low: float, high: float) -> None:
    source = Image.radial_gradient("L").convert("RGB")
    source.paste("#806040", (0, 0, 100, 256))

    def measure(factor: float) -> float:
        result = run(source, **{name: factor})[1].convert("RGB")
        match name:
            case "brightness":
                return ImageStat.Stat(result.convert("L")).mean[0]
            case "contrast":
                return ImageStat.Stat(result.convert("L")).stddev[0]
        return ImageStat.Stat(result.convert("HSV")).mean[1]

    assert measure(low) < measure(1) < measure(high)


def test_blur_and_sharpen_change_edges(run: Run) -> None:
    source = Image.new("L", (100, 20), 60)
    source.paste(190, (50, 0, 100, 20))
    edge = [run(source, **asked)[1].convert("L").getpixel((49, 10)) for asked in ({}, {"blur": 4}, {"sharpen": 3})]
    assert edge[2] < edge[0] < edge[1]  # type: ignore[operator]


def test_blurring_does_not_darken_transparent_edges(run: Run) -> None:
    source = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    source.paste("#ffffff", (20, 20, 40, 40))
    pixel = run(source, blur=4)[1].getpixel((19, 30))
    assert isinstance(pixel, tuple)
    assert pixel[0] > 240
    assert 50 < pixel[3] < 200


@pytest.mark.parametrize("method", ["fill", "pixelate", "blur"])
@pytest.mark.parametrize("size", [None, 250])
def test_redaction_leaves_nothing_of_the_original(run: Run, method: str, size: int | None) -> None:
    """Two secrets of the same average become the same pixels; and outside the box nothing changes."""
    results = []
    for phase in (0, 1):
        source = Image.new("RGB", (1000, 500), "#336699")
        for x in range(200, 600, 2):
            source.paste("#ffffff" if x // 2 % 2 == phase else "#000000", (x, 100, x + 2, 300))
        box = {"left": 198, "top": 98, "width": 404, "height": 204, "method": method}
        results.append(run(source, width=size, redact=[box])[1].convert("RGB"))
    first, second = results
    scale = first.width / 1000
    part = tuple(int(side * scale) for side in (205, 105, 595, 295))
    difference = [
        abs(a - b)
        for a, b in zip(first.crop(part).tobytes(), second.crop(part).tobytes(), strict=True)  # type: ignore[arg-type]
    ]
    assert max(difference) <= 8
    assert colour_at(first, 0.1, 0.1) == (0x33, 0x66, 0x99)


def test_redaction_is_measured_on_the_upright_source_and_survives_rotation(run: Run) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source = quarters(800, 400).transpose(Image.Transpose.ROTATE_90)
    box = {"left": 0, "top": 0, "width": 400, "height": 200}  # the red quarter, as people see it
    result = run(source, "jpg", save={"exif": exif, "quality": 95}, format="png", redact=[box], rotate=90, width=50)[1]
    assert corners(result) == "bkwg"


def test_a_box_to_redact_outside_writes_nothing(run: Run, context: JobContext) -> None:
    with pytest.raises(JobError, match="nothing was written"):
        run(quarters(), redact=[{"left": 80, "top": 0, "width": 5, "height": 5}])
    assert context.artifacts == []


def test_the_thumbnail_in_the_metadata_does_not_reveal_redacted_parts(run: Run, context: JobContext) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif.get_ifd(0x1)[0x0201] = 1
    box = {"left": 0, "top": 0, "width": 80, "height": 40}
    secret = encoded("JPEG", quarters(16, 16))
    source = encoded("JPEG", quarters(), exif=exif.tobytes() + secret)
    run(source, "jpg", keep_metadata=["exif"], redact=[box])
    assert secret[20:60] not in context.artifacts[-1].path.read_bytes()


def logo(keep: Keep, colour: str = "#ff00ff", size: tuple[int, int] = (40, 20)) -> str:
    """A picture for overlays."""
    return keep("logo.png", Image.new("RGBA", size, colour))


@pytest.mark.parametrize(
    ("position", "at"),
    [("top_left", (0.05, 0.05)), ("bottom_right", (0.95, 0.95)), ("center", (0.5, 0.5)), ("top", (0.5, 0.05))],
)
def test_an_overlay_is_where_it_was_asked_for(run: Run, keep: Keep, position: str, at: tuple[float, float]) -> None:
    overlay = {"image": logo(keep), "position": position, "scale": 0.2, "margin": 0}
    result = run(Image.new("RGB", (200, 100), "white"), image_overlays=[overlay])[1]
    assert colour_at(result, *at) == (255, 0, 255)
    assert sum(count for count, colour in result.getcolors() or [] if colour == (255, 0, 255)) == 40 * 20


def test_an_overlay_has_opacity_and_may_be_tiled(run: Run, keep: Keep) -> None:
    overlay = {"image": logo(keep), "opacity": 0.5, "tile": True, "scale": 0.1, "margin": 10}
    result = run(Image.new("RGB", (200, 100), "white"), image_overlays=[overlay])[1]
    colours = {colour: count for count, colour in result.getcolors() or []}
    assert set(colours) == {(255, 255, 255), (255, 127, 255)} or set(colours) == {(255, 255, 255), (255, 128, 255)}
    assert 0.2 < 1 - colours[255, 255, 255] / 20_000 < 0.45


def test_an_overlay_on_transparency_stays_as_opaque_as_it_is(run: Run, keep: Keep) -> None:
    overlay = {"image": logo(keep), "opacity": 0.5, "scale": 0.2, "margin": 0, "position": "center"}
    result = run(Image.new("RGBA", (200, 100), (0, 0, 0, 0)), image_overlays=[overlay])[1]
    pixel = result.getpixel((100, 50))
    assert isinstance(pixel, tuple)
    assert pixel[:3] == (255, 0, 255)
    assert abs(pixel[3] - 128) <= 1


def drawn(result: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int] | None:
    """The box of the pixels of about this colour."""
    grey = Image.new("L", result.size)
    rgb = result.convert("RGB").tobytes()
    pixels = zip(rgb[::3], rgb[1::3], rgb[2::3], strict=True)
    grey.putdata([255 if max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) < 60 else 0 for pixel in pixels])
    return grey.getbbox()


def test_text_is_drawn_in_its_place_and_wrapped(run: Run, context: JobContext) -> None:
    text = {"text": "several words that need more than one line", "size": 20, "colour": "#ff0000"}
    result = run(Image.new("RGB", (200, 200), "white"), text_overlays=[{**text, "position": "bottom_left"}])[1]
    box = drawn(result, (255, 0, 0))
    assert box is not None
    assert 14 <= box[0] <= 20
    assert box[1] > 100
    assert box[2] <= 184
    assert box[3] - box[1] > 40
    assert context.warnings == []


def test_letters_beyond_ascii_are_in_the_shipped_font_and_others_are_named(run: Run, context: JobContext) -> None:
    run(Image.new("RGB", (400, 100)), text_overlays=[{"text": "Grüße — čeština Ελληνικά Русский €", "size": 14}])
    assert context.warnings == []
    run(Image.new("RGB", (400, 100)), text_overlays=[{"text": "日本", "size": 14}])
    assert any("no sign for 日 本" in line for line in context.warnings)


def test_text_that_is_too_high_is_cut_with_a_warning(run: Run, context: JobContext) -> None:
    run(Image.new("RGB", (100, 60)), text_overlays=[{"text": "word " * 100, "size": 20}])
    assert any("too high" in line for line in context.warnings)


def test_a_font_may_be_sent(run: Run, context: JobContext) -> None:
    from importlib.resources import files  # noqa: PLC0415 -- the only font there is to send

    content = (files("offloop_workers") / "pdf" / "fonts" / "SourceSans3-Bold.ttf").read_bytes()
    reference = "data:font/ttf;base64," + base64.b64encode(content).decode()
    overlays: list[dict[str, Any]] = [{"text": "Bold", "font": reference, "colour": "#ffffff"}]
    assert drawn(run(Image.new("RGB", (200, 80)), text_overlays=overlays)[1], (255, 255, 255))
    assert context.warnings == []
    for wrong in (b"nonsense", content[:3000]):
        overlays[0]["font"] = "data:font/ttf;base64," + base64.b64encode(wrong).decode()
        with pytest.raises(JobError, match=r"The font is"):
            run(Image.new("RGB", (200, 80)), text_overlays=overlays)


def test_overlays_that_have_no_room_are_told(run: Run, keep: Keep, context: JobContext) -> None:
    small = Image.new("RGB", (30, 30), "white")
    run(small, image_overlays=[{"image": logo(keep), "scale": 0.5}])
    assert "1 x 1 pixels, less than half of what scale=0.5 gives" in context.warnings[0]
    context.warnings.clear()
    run(small, image_overlays=[{"image": logo(keep), "scale": 0.5, "margin": 2}])
    assert context.warnings == []
    for size, picture in ((1_000, small), (24, small.resize((6, 300)))):
        run(picture, text_overlays=[{"text": "W", "size": size, "margin": 0}])
        assert "is cut off at its edges" in context.warnings[-1]
