"""Geometry: fit, gravity, focus, crop, trim, proportions, enlarging."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image, ImageDraw
from pydantic import ValidationError

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.images import Transformation
from offloop.kinds.job_context import JobContext
from support.files.pictures import Run, colour_at, corners, quarters

DATA = "data:image/png;base64,"


def stripes() -> Image.Image:
    """Three equal parts across: red, green, blue."""
    picture = Image.new("RGB", (90, 30), "#00ff00")
    picture.paste("#ff0000", (0, 0, 30, 30))
    picture.paste("#0000ff", (60, 0, 90, 30))
    return picture


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ({}, (0, 255, 0)),
        ({"gravity": "centre"}, (0, 255, 0)),
        ({"gravity": "left"}, (255, 0, 0)),
        ({"gravity": "top_left"}, (255, 0, 0)),
        ({"gravity": "right"}, (0, 0, 255)),
        ({"gravity": "bottom_right"}, (0, 0, 255)),
        ({"gravity": "top"}, (0, 255, 0)),
        ({"focus": {"x": 0, "y": 1}}, (255, 0, 0)),
        ({"focus": {"x": 0.84, "y": 0.5}}, (0, 0, 255)),
        ({"focus": {"x": 1, "y": 0}, "gravity": "left"}, (0, 0, 255)),
    ],
)
@pytest.mark.parametrize("how", [{"fit": "cover", "width": 30, "height": 30}, {"aspect_ratio": "1:1"}])
def test_the_kept_part_is_the_requested_one(
    run: Run, how: dict[str, Any], asked: dict[str, Any], seen: tuple[int, int, int]
) -> None:
    result = run(stripes(), **how, **asked)[1]
    assert result.size == (30, 30)
    assert {colour_at(result, x, 0.5) for x in (0.1, 0.5, 0.9)} == {seen}


def test_smart_keeps_the_salient_part(run: Run) -> None:
    for left in (10, 300, 520):
        source = Image.new("RGB", (600, 200), "#808080")
        draw = ImageDraw.Draw(source)
        for line in range(0, 60, 6):
            draw.line((left + line, 40, left + 60 - line, 160), fill="#ffdd00", width=2)
        result = run(source, fit="cover", width=100, height=200, gravity="smart")[1]
        box = result.convert("RGB").point(lambda value: 255 if value > 200 else 0).getbbox()
        assert box is not None
        assert box[2] - box[0] > 55


def test_smart_keeps_the_middle_of_a_uniform_picture(run: Run) -> None:
    result = run(Image.new("RGB", (300, 100), "red"), fit="cover", width=100, height=100, gravity="smart")[1]
    assert result.size == (100, 100)


def test_a_crop_keeps_exactly_these_pixels(run: Run) -> None:
    source = Image.effect_noise((100, 80), 90).convert("RGB")
    result = run(source, crop={"left": 13, "top": 7, "width": 40, "height": 30})[1]
    assert result.convert("RGB").tobytes() == source.crop((13, 7, 53, 37)).tobytes()


def test_a_crop_may_be_in_percent_and_reaches_over_the_edge_at_most_to_it(run: Run) -> None:
    result = run(stripes(), crop={"left": 66.7, "top": 0, "width": 50, "height": 100, "unit": "percent"})[1]
    assert result.size == (30, 30)
    assert colour_at(result, 0.5, 0.5) == (0, 0, 255)


def test_a_crop_outside_is_refused_with_the_size(run: Run) -> None:
    with pytest.raises(JobError, match="it has 90 x 30") as failed:
        run(stripes(), crop={"left": 90, "top": 0, "width": 10, "height": 10})
    assert failed.value.reason == "outside"


def test_a_crop_of_a_jpeg_is_exact_although_it_is_shrunk_while_decoding(run: Run) -> None:
    source = quarters(1600, 1600)
    crop = {"left": 800, "top": 0, "width": 800, "height": 1600}
    result = run(source, "jpg", format="png", crop=crop, width=100, save={"quality": 95, "subsampling": 0})[1]
    assert result.size == (100, 200)
    assert corners(result) == "ggww"
    assert colour_at(result, 0, 0.1)[1] > 200


def test_trim_cuts_the_border_and_crop_is_measured_after_it(run: Run) -> None:
    source = Image.new("RGB", (100, 100), "#fafafa")
    source.paste(quarters(40, 20), (30, 50))
    assert corners(run(source, trim=10, crop={"left": 0, "top": 0, "width": 20, "height": 10})[1]) == "rrrr"
    source.paste("#000000", (45, 55, 50, 65))
    assert run(source, trim=10)[1].size in {(40, 20), (40, 15)}


def test_trim_knows_transparent_borders(run: Run) -> None:
    source = Image.new("RGBA", (100, 100), (9, 9, 9, 0))
    source.paste("#ff0000", (20, 30, 60, 90))
    assert run(source, trim=10)[1].size == (40, 60)


def test_trim_of_one_colour_cuts_nothing_and_warns(run: Run, context: JobContext) -> None:
    assert run(Image.new("RGB", (30, 20), "white"), trim=5)[1].size == (30, 20)
    assert any("trim found one colour" in line for line in context.warnings)


@pytest.mark.parametrize(
    ("asked", "size", "warned"),
    [
        ({"width": 400}, (80, 40), False),
        ({"width": 400, "enlarge": True}, (400, 200), False),
        ({"width": 400, "height": 400, "enlarge": True}, (400, 200), False),
        ({"width": 200, "height": 100, "fit": "cover"}, (80, 40), True),
        ({"width": 100, "height": 100, "fit": "cover"}, (40, 40), True),
        ({"width": 100, "height": 100, "fit": "cover", "enlarge": True}, (100, 100), False),
        ({"width": 160, "height": 40, "fit": "fill"}, (80, 20), True),
        ({"width": 160, "height": 40, "fit": "fill", "enlarge": True}, (160, 40), False),
        ({"width": 160, "height": 160, "fit": "pad"}, (160, 160), False),
        ({"width": 20, "dpr": 2}, (40, 20), False),
        ({"width": 20, "height": 20, "fit": "cover", "dpr": 1.5}, (30, 30), False),
    ],
)
def test_nothing_is_enlarged_unless_asked(
    run: Run, context: JobContext, asked: dict[str, Any], size: tuple[int, int], *, warned: bool
) -> None:
    assert run(quarters(), **asked)[1].size == size
    assert any("enlarge=true" in line for line in context.warnings) == warned


def test_pad_does_not_enlarge_and_aligns(run: Run) -> None:
    result = run(quarters(), width=160, height=80, fit="pad", gravity="bottom_right", background="#000000")[1]
    assert corners(result.crop((80, 40, 160, 80))) == "rgbw"
    assert colour_at(result, 0.2, 0.2) == (0, 0, 0)


def test_rotation_precedes_the_crop(run: Run) -> None:
    assert corners(run(quarters(), flip=True)[1]) == "bwrg"
    assert corners(run(quarters(), mirror=True)[1]) == "grwb"
    assert corners(run(quarters(), rotate=90, mirror=True)[1]) == "rbgw"
    result = run(quarters(), rotate=90, crop={"left": 0, "top": 0, "width": 20, "height": 40})[1]
    assert corners(result) == "bbbb"


def test_a_result_beyond_the_bounds_is_refused_with_them(run: Run) -> None:
    with pytest.raises(LimitExceeded, match="at most 16,384"):
        run(quarters(), width=16_000, dpr=4, enlarge=True)


@pytest.mark.parametrize(
    "asked",
    [
        {"fit": "cover", "width": 10},
        {"width": 10**9},
        {"width": 0},
        {"dpr": float("nan")},
        {"dpr": float("inf")},
        {"aspect_ratio": "0:1"},
        {"aspect_ratio": "wide"},
        {"focus": {"x": 1.1, "y": 0}},
        {"crop": {"left": -1, "top": 0, "width": 5, "height": 5}},
        {"crop": {"left": 0, "top": 0, "width": 0, "height": 5}},
        {"gravity": "up"},
        {"colour": "#fff"},
    ],
)
def test_contradictory_requests_are_refused_before_the_job(asked: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Transformation.model_validate({"image": DATA, **asked})
