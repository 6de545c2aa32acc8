"""Animations in and out: frames, durations, repetitions, bounds."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from PIL import Image

from offloop.errors import JobError, LimitExceeded
from offloop.kinds.job_context import JobContext
from offloop.kinds.limits import Limits
from offloop_workers.images.codecs import encoding
from support.files.pictures import Run, animation, colour_at, encoded, quarters


def seen(context: JobContext) -> tuple[list[int], list[tuple[int, ...]], dict[Any, Any]]:
    """Durations, a colour of each frame, and the metadata of the last artifact."""
    with Image.open(context.artifacts[-1].path) as result:
        durations, colours = [], []
        for number in range(result.n_frames):  # type: ignore[attr-defined]
            result.seek(number)
            result.load()
            durations.append(round(result.info["duration"]))
            colours.append(colour_at(result, 0.95, 0.5))
        return durations, colours, dict(result.info)


@pytest.mark.parametrize("source", ["GIF", "WEBP", "PNG", "AVIF"])
@pytest.mark.parametrize("form", ["gif", "webp", "png", "avif"])
def test_frames_and_durations_survive_every_way(run: Run, context: JobContext, source: str, form: str) -> None:
    content = animation(source, 4, duration=[100, 200, 300, 400])
    result = run(content, source.lower(), format=form, animated=True, width=30)[0]
    assert (result.frames, result.width, result.height) == (4, 30, 20)
    durations, colours, _ = seen(context)
    assert durations == [100, 200, 300, 400]
    assert [abs(colour[0] - 64 * (number + 1)) < 24 for number, colour in enumerate(colours)] == [True] * 4


@pytest.mark.parametrize(("loop", "in_webp"), [(0, 0), (None, 1), (2, 3)])
def test_repetitions_are_kept_although_formats_count_differently(
    run: Run, context: JobContext, loop: int | None, in_webp: int
) -> None:
    asked: dict[str, Any] = {} if loop is None else {"loop": loop}
    content = animation("GIF", **asked)
    run(content, "gif", format="webp")
    assert seen(context)[2]["loop"] == in_webp
    run(content, "gif")
    assert seen(context)[2].get("loop") == loop


def test_an_animation_stays_animated_where_the_format_allows(run: Run, context: JobContext) -> None:
    assert run(animation("GIF"), "gif")[0].frames == 4
    assert run(animation("PNG"), "png")[0].frames == 4
    assert context.warnings == []
    assert run(animation("GIF"), "gif", format="jpeg")[0].frames == 1
    assert context.warnings == ["The source has 4 frames or pages; the first was used."]


def test_one_frame_can_be_taken(run: Run) -> None:
    result = run(animation("GIF"), "gif", animated=False, page=3, format="png")
    assert result[0].frames == 1
    assert abs(colour_at(result[1], 0.95, 0.5)[0] - 191) < 10


def test_a_page_means_one_frame(run: Run, context: JobContext) -> None:
    picture, result = run(animation("GIF"), "gif", page=3)
    assert (picture.frames, picture.format) == (1, "gif")
    assert abs(colour_at(result, 0.95, 0.5)[0] - 191) < 10
    assert run(animation("GIF"), "gif", page=3, animated=True)[0].frames == 4
    assert context.warnings == ["page=3 has no effect with animated=true: all frames were kept."]
    with pytest.raises(JobError, match="no page 9"):
        run(animation("GIF"), "gif", page=9)


def test_the_number_of_frames_can_be_capped(run: Run, context: JobContext) -> None:
    assert run(animation("GIF", 10), "gif", max_frames=3)[0].frames == 3
    assert context.warnings == ["The animation has 10 frames; the first 3 were kept (max_frames)."]


def test_every_frame_gets_the_same_treatment(run: Run, context: JobContext) -> None:
    overlay = {"text": "x", "size": 12, "colour": "#00ff00"}
    box = {"left": 50, "top": 0, "width": 10, "height": 40, "colour": "#0000ff"}
    run(animation("GIF"), "gif", format="webp", lossless=True, redact=[box], text_overlays=[overlay], rotate=180)
    with Image.open(context.artifacts[-1].path) as result:
        for number in range(4):
            result.seek(number)
            assert colour_at(result, 0.02, 0.5) == (0, 0, 255)


def test_transparent_frames_stay_transparent(run: Run, context: JobContext) -> None:
    frames = []
    for number in range(3):
        frame = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
        frame.paste("#ff0000", (number * 10, 0, number * 10 + 10, 40))
        frames.append(frame)
    content = encoded("PNG", frames[0], save_all=True, append_images=frames[1:], duration=50)
    for form in ("png", "gif", "webp"):
        run(content, "png", format=form, animated=True)
        with Image.open(context.artifacts[-1].path) as result:
            for number in range(3):
                result.seek(number)
                alphas = [result.convert("RGBA").getpixel((x, 20))[3] for x in (5, 15, 25)]  # type: ignore[index]
                assert alphas == [255 if index == number else 0 for index in range(3)]


@pytest.mark.parametrize(
    ("content", "form", "words"),
    [(encoded("PNG", quarters()), "webp", "one frame only"), (animation("GIF"), "jpeg", "jpeg cannot move")],
)
def test_animated_without_an_animation_fails(run: Run, content: bytes, form: str, words: str) -> None:
    with pytest.raises(JobError, match=words) as failed:
        run(content, format=form, animated=True)
    assert failed.value.reason == "not_animated"


def test_frames_times_pixels_are_bounded_and_the_operator_may_lower_it(run: Run, context: JobContext) -> None:
    context.limits = dataclasses.replace(Limits(), pixels=60 * 40 * 5)
    assert run(animation("GIF", 5), "gif")[0].frames == 5
    with pytest.raises(LimitExceeded, match=r"12,000 that one job decodes: send max_frames=5 or less"):
        run(animation("GIF", 6), "gif")
    with pytest.raises(LimitExceeded, match=r"10,000 = .* more than the 12,000"):
        run(Image.new("L", (2, 10_000)), "png")


def test_frames_of_a_result_are_bounded_with_its_own_size(run: Run, context: JobContext) -> None:
    """A small animation may be enlarged."""
    context.limits = dataclasses.replace(Limits(), pixels=60 * 40 * 10)
    assert run(animation("GIF", 5), "gif", width=84, enlarge=True)[0].frames == 5
    with pytest.raises(LimitExceeded, match=r"5 frames of 120 x 80, 48,000 pixels together.*or max_frames=2\."):
        run(animation("GIF", 5), "gif", width=120, enlarge=True)
    assert run(animation("GIF", 5), "gif", width=120, enlarge=True, max_frames=2)[0].frames == 2


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_frames_that_redaction_made_equal_are_one(run: Run, context: JobContext, form: str) -> None:
    frames = [Image.new("RGBA", (60, 40), "red") for _ in range(3)]
    for number, frame in enumerate(frames):
        frame.paste("#00ff00", (10 + number, 10, 20, 20))
    content = encoded(form, frames[0], save_all=True, append_images=frames[1:], duration=50, lossless=True)
    box = {"left": 10, "top": 10, "width": 10, "height": 10, "colour": "#ff0000"}
    picture, result = run(content, form.lower(), redact=[box], format="webp")
    assert (picture.frames, result.size) == (1, (60, 40))
    assert any("were joined" in line for line in context.warnings)


def test_a_large_animation_is_encoded_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may grow; looking for fewer colours would encode it eight times."""
    calls = []
    monkeypatch.setattr(encoding, "with_fewer_colours", lambda *given: calls.append(given))
    content = encoded(
        "GIF",
        Image.new("L", (1_500, 1_000)),
        save_all=True,
        append_images=[Image.new("L", (1_500, 1_000), level) for level in range(1, 7)],
    )
    assert run(content, "gif", text_overlays=[{"text": "x"}])[0].frames == 7
    assert calls == []
