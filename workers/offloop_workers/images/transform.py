"""Transforming: one picture in, one picture out."""

from __future__ import annotations

import io
from math import ceil
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, BinaryIO, cast

from PIL import AvifImagePlugin, ExifTags, Image

from offloop.errors import JobError
from offloop.job import Context, performs
from offloop.jobs.images import Format, Picture, Transformation, transform_image
from offloop.references import Scheme, parse
from offloop_workers.images import colours, reading
from offloop_workers.images.plan import Plan, Size, plan

_MIME: MappingProxyType[str, tuple[str, str]] = MappingProxyType(
    {
        "jpeg": ("image/jpeg", ".jpg"),
        "png": ("image/png", ".png"),
        "webp": ("image/webp", ".webp"),
        "avif": ("image/avif", ".avif"),
    }
)
_LONGEST_SIDE: MappingProxyType[str, int] = MappingProxyType({"jpeg": 65_500, "webp": 16_383, "avif": 65_535})
_STEPS = 3
# By the orientation in the metadata: the transposition that puts the picture upright (1 is upright already).
_UPRIGHT: MappingProxyType[int, Image.Transpose] = MappingProxyType(
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)
# Clockwise, as people say it; Pillow turns the other way.
_TURN: MappingProxyType[int, Image.Transpose] = MappingProxyType(
    {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
)
_SWAPPING = frozenset(
    {Image.Transpose.TRANSPOSE, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270}
)
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # a worker runs one child per core already


@performs(transform_image)
def transform(request: Transformation, context: Context) -> Picture:
    """Open, shrink while decoding where the format can, put upright, scale, encode.

    Raises:
        LimitExceeded: the source or the result has too many pixels.
        JobError: the file is not an accepted picture, is damaged, or does not fit the format asked for.
    """
    with context.open(request.image) as file:
        source_size = reading.size_of(file)
        picture = reading.open_picture(file)
        context.progress(0, _STEPS, "decoding")
        source_format = "JPEG" if picture.format == "MPO" else str(picture.format)
        form = _form(request, source_format, context)
        with reading.decoding():
            turns = _turns(picture, request)
            upright = _after(picture.size, turns[:1])
            _note_frames(picture, source_format, context)
            made = _scaled(picture, turns, plan(_after(picture.size, turns), request), context)
    made = _finished(made, request, form)
    context.progress(2, _STEPS, "encoding")
    with context.create(_name(request, form), _MIME[form][0]) as out:
        _encode(made, out, form, request.quality)
        size = out.seek(0, io.SEEK_END)
    context.progress(_STEPS, _STEPS, "done")
    return Picture(
        width=made.width,
        height=made.height,
        format=form,
        size=size,
        source_width=upright[0],
        source_height=upright[1],
        source_format=source_format.lower(),
        source_size=source_size,
    )


def _form(request: Transformation, source_format: str, context: Context) -> Format:
    if request.format:
        return request.format
    if source_format.lower() in _MIME:
        return cast("Format", source_format.lower())
    context.warn(f"{source_format} is read but not written; the result is PNG. Set format to choose another.")
    return "png"


def _turns(picture: Image.Image, request: Transformation) -> list[Image.Transpose | None]:
    orientation = picture.getexif().get(ExifTags.Base.Orientation)
    return [_UPRIGHT.get(orientation) if isinstance(orientation, int) else None, _TURN.get(request.rotate)]


def _after(size: Size, turns: list[Image.Transpose | None]) -> Size:
    for turn in turns:
        size = size[::-1] if turn in _SWAPPING else size
    return size


def _note_frames(picture: Image.Image, source_format: str, context: Context) -> None:
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and source_format != "JPEG":  # a phone's JPEG often carries a depth map beside the picture
        context.warn(f"The source has {frames} frames or pages; the first was used.")


def _scaled(picture: Image.Image, turns: list[Image.Transpose | None], made: Plan, context: Context) -> Image.Image:
    """Scale in the source's own orientation, and turn the smaller result. Both boxes are centred, so this is exact."""
    whole = picture.size
    swapped = _after((0, 1), turns) == (1, 0)
    target = made.scaled[::-1] if swapped else made.scaled
    box = (made.box[1], made.box[0], made.box[3], made.box[2]) if swapped else made.box
    factor = max(target[0] / (box[2] - box[0]), target[1] / (box[3] - box[1]))
    if factor < 1:  # a JPEG decoder can leave out what would be thrown away; other formats ignore it
        picture.draft(picture.mode, (ceil(whole[0] * factor), ceil(whole[1] * factor)))
    profile = picture.info.get("icc_profile")
    picture.load()
    context.progress(1, _STEPS, "resizing")
    if picture.size != whole:
        across, down = picture.width / whole[0], picture.height / whole[1]
        box = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
    deep = picture.mode in {"CMYK", "LAB"}
    result = picture if deep else colours.to_srgb(picture, None, context)
    if result.size != target or box != (0, 0, *result.size):
        result = result.resize(target, Image.Resampling.LANCZOS, box=box, reducing_gap=2.0)
    if profile or deep:
        result = colours.to_srgb(result, profile, context)
    for turn in turns:
        result = result if turn is None else result.transpose(turn)
    return result


def _finished(picture: Image.Image, request: Transformation, form: Format) -> Image.Image:
    if request.fit == "pad" and (request.width, request.height) != picture.size:
        canvas = Image.new("RGBA", (request.width or 1, request.height or 1), (0, 0, 0, 0))
        place = ((canvas.width - picture.width) // 2, (canvas.height - picture.height) // 2)
        canvas.paste(picture.convert("RGBA"), place)
        picture = canvas
    longest = _LONGEST_SIDE.get(form)
    if longest and max(picture.size) > longest:
        message = f"{form} pictures have at most {longest:,} pixels a side: ask for a smaller one, or for format 'png'."
        raise JobError(message, code="too_large_for_format")
    if form == "jpeg":
        return colours.flattened(picture, request.background)
    return picture


def _encode(picture: Image.Image, out: BinaryIO, form: Format, quality: int) -> None:
    options: dict[str, dict[str, Any]] = {
        "jpeg": {"quality": quality, "optimize": True, "progressive": True},
        "png": {},
        "webp": {"quality": quality, "method": 4},
        "avif": {"quality": quality, "speed": 7, "max_threads": 1},
    }
    if form in {"avif", "webp"} and picture.mode in {"L", "LA"}:
        picture = picture.convert("RGBA" if picture.mode == "LA" else "RGB")
    picture.info = {}  # what an encoder finds there it would write: comments, resolution, profile
    picture.save(out, form.upper(), exif=b"", icc_profile=None, **options[form])


def _name(request: Transformation, form: Format) -> str:
    extension = _MIME[form][1]
    known = {extension, ".jpeg"} if form == "jpeg" else {extension}
    if request.name:
        return request.name if PurePosixPath(request.name.lower()).suffix in known else request.name + extension
    parsed = parse(request.image)
    stem = PurePosixPath(parsed.path).stem if parsed.scheme is Scheme.ROOT else "picture"
    return stem + extension


def warm() -> None:
    """Load the decoders and encoders, and use one of each once."""
    Image.init()
    for form in _MIME:
        out = io.BytesIO()
        _encode(Image.new("RGB", (16, 16), "#345678"), out, cast("Format", form), 80)
        reading.open_picture(out).load() if out.seek(0) == 0 else None
