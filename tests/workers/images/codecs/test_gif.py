"""GIF: every frame as it was, with its time, in no more bytes than needed."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image, ImageChops, ImageDraw

from offloop.kinds.job_context import JobContext
from offloop_workers.images.codecs import gif
from support.files.pictures import PHOTO, Run, animation, encoded

SIZE = (40, 30)
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (250, 250, 250), (251, 250, 250), (12, 34, 56))


def drawn(seed: int, count: int = 12, *, transparent: bool = False) -> list[Image.Image]:
    """Frames of shapes that come, stay and go; some frames equal the one before."""
    chance = random.Random(seed)  # noqa: S311 -- reproducible shapes
    frames = [Image.new("RGBA", SIZE, (0, 0, 0, 0) if transparent else (9, 9, 9, 255))]
    for _ in range(count - 1):
        frame = frames[-1].copy()
        draw = ImageDraw.Draw(frame)
        for _ in range(chance.choice((0, 1, 3))):
            left, top = chance.randrange(SIZE[0]), chance.randrange(SIZE[1])
            box = (left, top, left + chance.randrange(20), top + chance.randrange(20))
            gone = transparent and chance.random() < 0.5
            draw.rectangle(box, fill=(0, 0, 0, 0) if gone else (*chance.choice(COLOURS), 255))
        frames.append(frame)
    return frames if transparent else [frame.convert("RGB") for frame in frames]


def pixels(frame: Image.Image) -> list[object]:
    """Colours, and one value for every transparent pixel."""
    seen = frame.convert("RGBA")
    return [pixel if isinstance(pixel, tuple) and pixel[3] else None for pixel in seen.get_flattened_data()]


def decoded(content: bytes) -> tuple[list[Image.Image], list[int]]:
    """The frames and durations that Pillow reads."""
    frames, durations = [], []
    with Image.open(io.BytesIO(content)) as picture:
        for number in range(getattr(picture, "n_frames", 1)):
            picture.seek(number)
            frames.append(picture.convert("RGBA"))
            durations.append(round(picture.info.get("duration", 0)))
    return frames, durations


@pytest.mark.parametrize("transparent", [False, True])
def test_every_frame_and_time_is_kept_exactly(transparent: bool) -> None:  # noqa: FBT001 -- a parameter
    for seed in range(25):
        frames = drawn(seed, transparent=transparent)
        times = [20 + 10 * (number % 7) for number in range(len(frames))]
        out = io.BytesIO()
        gif.write(frames, times, 0, out)
        found, durations = decoded(out.getvalue())
        assert durations == times
        assert [pixels(frame) for frame in found] == [pixels(frame) for frame in frames], seed


def test_a_still_is_kept_exactly_in_few_bytes() -> None:
    for seed, transparent in ((3, False), (4, True)):
        frame = drawn(seed, transparent=transparent)[-1]
        out = io.BytesIO()
        gif.write([frame], [], 1, out)
        assert pixels(decoded(out.getvalue())[0][0]) == pixels(frame)
        assert len(out.getvalue()) < 1_000


def test_times_that_are_no_hundredths_keep_their_sum(run: Run, context: JobContext) -> None:
    run(animation("WEBP", 9, duration=33), "webp", format="gif")
    _, durations = decoded(context.artifacts[-1].path.read_bytes())
    assert sum(durations) == 300  # 297 to the hundredth
    assert any("hundredths of a second" in line for line in context.warnings)


@pytest.mark.parametrize("width", [39, 30, 20, 10])
@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_a_smaller_animation_is_no_larger_a_file(run: Run, context: JobContext, width: int, form: str) -> None:
    for seed in range(4):
        frames = [frame.resize((160, 120), Image.Resampling.NEAREST) for frame in drawn(seed)]
        content = encoded(form, frames[0], save_all=True, append_images=frames[1:], duration=70, lossless=True, loop=0)
        source = getattr(Image.open(io.BytesIO(content)), "n_frames", 1)
        picture, _ = run(content, form.lower(), width=4 * width)
        joined = any("were joined" in line for line in context.warnings)
        assert (picture.frames == source or joined, picture.format) == (True, form.lower())
        overhead = 900 if form == "WEBP" else 0  # each frame has its own head and palette
        assert picture.size <= len(content) + overhead, (seed, picture, context.warnings)
        assert sum(decoded(context.artifacts[-1].path.read_bytes())[1]) == 12 * 70


def test_an_animation_of_photographs_keeps_its_colours(run: Run, context: JobContext) -> None:
    with Image.open(PHOTO) as photo:
        base = photo.convert("RGB").resize((120, 90))
    frames = [base, base.transpose(Image.Transpose.FLIP_LEFT_RIGHT), base.transpose(Image.Transpose.ROTATE_180)]
    content = encoded("WEBP", frames[0], save_all=True, append_images=frames[1:], duration=70, lossless=True)
    run(content, "webp", format="gif")
    found, _ = decoded(context.artifacts[-1].path.read_bytes())
    for frame, right in zip(found, frames, strict=True):
        pairs = zip(frame.convert("RGB").tobytes(), right.tobytes(), strict=True)
        assert sum(abs(one - other) for one, other in pairs) / len(right.tobytes()) < 6


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_frames_that_are_joined_are_told(run: Run, context: JobContext, form: str) -> None:
    frames = [drawn(1)[-1]] * 3 + [drawn(2)[-1]] * 2
    content = encoded("AVIF", frames[0], save_all=True, append_images=frames[1:], duration=50, quality=100)
    picture, _ = run(content, "avif", format=form.lower(), animated=True)
    assert picture.frames < 5
    assert any("were joined with it; the times were added up" in line for line in context.warnings)
    assert sum(decoded(context.artifacts[-1].path.read_bytes())[1]) == 250


def test_the_still_before_an_animated_png_is_no_frame(run: Run, context: JobContext) -> None:
    frames = drawn(5, 4)
    content = encoded("PNG", Image.new("RGB", SIZE, "red"), save_all=True, append_images=frames, default_image=True)
    picture, _ = run(content, "png", format="gif", animated=True)
    found, _ = decoded(context.artifacts[-1].path.read_bytes())
    assert picture.frames == len(found)
    assert pixels(found[0])[0] != (255, 0, 0, 255)


def test_half_transparent_pixels_are_told(run: Run, context: JobContext) -> None:
    run(Image.new("RGBA", SIZE, (255, 0, 0, 100)), format="gif")
    assert any("no half-transparent pixels" in line for line in context.warnings)


def test_a_gif_that_is_cut_off_is_told(run: Run, context: JobContext) -> None:
    whole = animation("GIF", 6)
    run(whole, "gif")
    assert context.warnings == []
    for kept in (len(whole) - 1, len(whole) - 30):
        context.warnings.clear()
        picture, _ = run(whole[:kept], "gif", format="png")
        assert picture.frames == 1
        assert any(line.startswith("The GIF is cut off: ") for line in context.warnings), kept


def test_a_still_keeps_256_colours(run: Run, context: JobContext) -> None:
    levels = Image.linear_gradient("L")
    colours = Image.new("P", (16, 16))
    colours.putdata(range(256))
    colours.putpalette([value for index in range(256) for value in (index, index * 7 % 256, 255 - index)])
    for source in (levels, colours, colours.crop((0, 0, 16, 15)), colours.crop((0, 0, 5, 1))):
        _, result = run(encoded("GIF", source), "gif")
        assert ImageChops.difference(result.convert("RGB"), source.convert("RGB")).getbbox() is None
    run(levels, format="gif")
    assert context.warnings == []
    run(PHOTO.read_bytes(), "jpg", format="gif", width=100)
    assert context.warnings == ["gif has at most 256 colours: those of the picture were reduced to them."]
