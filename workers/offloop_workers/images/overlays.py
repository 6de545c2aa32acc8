"""Overlays: pictures and words on a picture, drawn once and laid on each frame."""

from __future__ import annotations

from PIL import Image, ImageDraw

from offloop.jobs.transformation import ImageOverlay, TextOverlay, Transformation
from offloop.kinds.context import Context
from offloop_workers.images import colours, lettering, reading
from offloop_workers.images.anchors import spot_of

Layer = tuple[Image.Image, list[tuple[int, int]]]


class Overlays:
    """Everything that is laid on a picture of one size, pictures first.

    Args:
        request: which overlays.
        size: of the picture.
        context: opens what they refer to.

    Raises:
        JobError: an overlay is no picture or font, or is damaged.
        LimitExceeded: an overlay has too many pixels.
    """

    def __init__(self, request: Transformation, size: tuple[int, int], context: Context) -> None:
        self._layers: list[Layer] = [_of_image(overlay, size, context) for overlay in request.image_overlays]
        self._layers += [_of_text(overlay, size, context) for overlay in request.text_overlays]

    def on(self, picture: Image.Image) -> Image.Image:
        """The picture with all of them on it."""
        if not self._layers:
            return picture
        picture = picture.convert("RGBA" if picture.mode in {"LA", "RGBA"} else "RGB")
        for layer, places in self._layers:
            for place in places:
                if picture.mode == "RGBA":
                    picture.alpha_composite(layer, place)
                else:
                    picture.paste(layer, place, layer)
        return picture


def _of_image(overlay: ImageOverlay, size: tuple[int, int], context: Context) -> Layer:
    with reading.opened(overlay.image, context) as source, reading.decoding():
        profile = source.picture.info.get("icc_profile")
        factor = min(1.0, size[0] / source.picture.width * 2)
        if source.format == "jpeg":
            source.picture.draft("RGB", (int(source.picture.width * factor), int(source.picture.height * factor)))
        source.picture.load()
        picture = colours.to_srgb(source.picture, profile, context).convert("RGBA")
    room = [max(1, side - 2 * overlay.margin) for side in size]
    factor = min(size[0] * overlay.scale / picture.width, room[0] / picture.width, room[1] / picture.height)
    scaled = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    picture = _faded(picture.resize(scaled, Image.Resampling.LANCZOS), overlay.opacity)
    if overlay.tile:
        return _tiled(picture, size, max(1, overlay.margin)), [(0, 0)]
    return picture, [_place(picture.size, size, overlay.position, overlay.margin)]


def _tiled(picture: Image.Image, size: tuple[int, int], gap: int) -> Image.Image:
    """One layer with all the tiles, so that their number costs nothing later."""
    layer = Image.new("RGBA", size, (0, 0, 0, 0))
    step = (picture.width + gap, picture.height + gap)
    row = Image.new("RGBA", (size[0], picture.height), (0, 0, 0, 0))
    for left in range(gap // 2, size[0], step[0]):
        row.paste(picture, (left, 0))
    for top in range(gap // 2, size[1], step[1]):
        layer.paste(row, (0, top))
    return layer


def _of_text(overlay: TextOverlay, size: tuple[int, int], context: Context) -> Layer:
    font = lettering.sent_font(overlay.font, overlay.size, context)
    stroke = max(1, overlay.size // 16) if overlay.outline else 0
    room = (max(1, size[0] - 2 * overlay.margin - 2 * stroke), max(1, size[1] - 2 * overlay.margin))
    step = overlay.size + overlay.size // 4
    most = max(1, room[1] // step)
    lines = lettering.wrapped_lines(overlay.text, font, room[0], most + 1)
    if len(lines) > most:
        lines = lines[:most]
        context.warn(
            f"A text overlay is too high for the picture; its first {most} lines were kept. Send a smaller size."
        )
    lettering.note_missing(overlay.text, font, context)
    width = min(size[0], int(max(font.getlength(line) for line in lines)) + 2 * stroke + 2)
    layer = Image.new("RGBA", (max(1, width), min(size[1], step * len(lines) + 2 * stroke)), (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    across = spot_of(overlay.position)[0]
    for number, line in enumerate(lines):
        left = stroke + (width - 2 * stroke - font.getlength(line)) * across
        draw.text(
            (left, stroke + number * step),
            line,
            font=font,
            fill=overlay.colour,
            stroke_width=stroke,
            stroke_fill=overlay.outline,
        )
    return _faded(layer, overlay.opacity), [_place(layer.size, size, overlay.position, overlay.margin)]


def _faded(picture: Image.Image, opacity: float) -> Image.Image:
    if opacity < 1:
        picture.putalpha(picture.getchannel("A").point(lambda value: round(value * opacity)))
    return picture


def _place(layer: tuple[int, int], size: tuple[int, int], position: str, margin: int) -> tuple[int, int]:
    across, down = spot_of(position)
    return (
        max(0, round(margin + (size[0] - 2 * margin - layer[0]) * across)),
        max(0, round(margin + (size[1] - 2 * margin - layer[1]) * down)),
    )
