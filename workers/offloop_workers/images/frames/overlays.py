"""Overlays: pictures and texts, drawn once as layers and composited onto each frame."""

from __future__ import annotations

from PIL import Image, ImageDraw

from offloop.jobs.transformation import ImageOverlay, TextOverlay, Transformation
from offloop.kinds.context import Context
from offloop_workers.images.frames import lettering
from offloop_workers.images.frames.anchors import alignment
from offloop_workers.raster import frames, orientation, reading
from offloop_workers.raster.upright import upright
from offloop_workers.raster.warned import Named

Layer = tuple[Image.Image, tuple[int, int]]
"""A picture, and its position."""


class Overlays:
    """The overlays for frames of one size, pictures first.

    Args:
        request: the overlays.
        size: of the frames.
        context: opens the overlays' files.

    Raises:
        JobError: an overlay's file is not a picture or font, or is damaged.
        LimitExceeded: an overlay has too many pixels.
    """

    def __init__(self, request: Transformation, size: tuple[int, int], context: Context) -> None:
        self._layers: list[Layer] = [_image_layer(overlay, size, context) for overlay in request.image_overlays]
        self._layers += [_text_layer(overlay, size, context) for overlay in request.text_overlays]

    def on(self, picture: Image.Image) -> Image.Image:
        """The picture with all layers composited onto it."""
        if not self._layers:
            return picture
        picture = picture.convert("RGBA" if picture.mode in {"LA", "RGBA"} else "RGB")
        for layer, position in self._layers:
            if picture.mode == "RGBA":
                picture.alpha_composite(layer, position)
            else:
                picture.paste(layer, position, layer)
        return picture


def _image_layer(overlay: ImageOverlay, size: tuple[int, int], context: Context) -> Layer:
    with reading.opened(overlay.image, context) as source, reading.decoding():
        warned = Named("An image overlay", context)
        frames.warn_of_others(source, warned)
        found = orientation.read(source.picture, warned)
        across, down = found.upright_size
        room = (2 * size[0], max(1, 2 * size[0] * down // across))  # twice the final width is enough to scale from
        picture = upright(source, found, room, warned).convert("RGBA")
    inner = [max(1, side - 2 * overlay.margin) for side in size]
    asked = size[0] * overlay.scale / picture.width
    factor = min(asked, inner[0] / picture.width, inner[1] / picture.height)
    scaled = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    if factor < asked / 2:
        warned.warn(
            f"It has {scaled[0]} x {scaled[1]} pixels, less than half of what scale={overlay.scale:g} gives: a picture "
            f"of {size[0]:,} x {size[1]:,} has no room for more with margin={overlay.margin}."
        )
    picture = _faded(picture.resize(scaled, Image.Resampling.LANCZOS), overlay.opacity)
    if overlay.tile:
        return _tiled(picture, size, max(1, overlay.margin)), (0, 0)
    return picture, _position(picture.size, size, overlay.position, overlay.margin)


def _tiled(picture: Image.Image, size: tuple[int, int], gap: int) -> Image.Image:
    """One layer with all the tiles, so that compositing takes the same time for any number of them."""
    layer = Image.new("RGBA", size, (0, 0, 0, 0))
    step = (picture.width + gap, picture.height + gap)
    row = Image.new("RGBA", (size[0], picture.height), (0, 0, 0, 0))
    for left in range(gap // 2, size[0], step[0]):
        row.paste(picture, (left, 0))
    for top in range(gap // 2, size[1], step[1]):
        layer.paste(row, (0, top))
    return layer


def _text_layer(overlay: TextOverlay, size: tuple[int, int], context: Context) -> Layer:
    font = lettering.font_for(overlay.font, overlay.size, context)
    stroke = max(1, overlay.size // 16) if overlay.outline else 0
    room = (max(1, size[0] - 2 * overlay.margin - 2 * stroke), max(1, size[1] - 2 * overlay.margin))
    step = overlay.size + overlay.size // 4
    most = max(1, room[1] // step)
    lines = lettering.wrapped_lines(overlay.text, font, room[0], most + 1)
    if len(lines) > most:
        lines = lines[:most]
        context.warn(f"A text overlay is too high for the picture; it ends after line {most}. Send a smaller size.")
    lettering.warn_of_missing_glyphs(overlay.text, font, "Send a font that has it (font=).", context)
    wanted = max(font.getlength(line) for line in lines)
    if wanted > size[0] or overlay.size > size[1]:
        context.warn(
            f"A text overlay is larger than the picture of {size[0]:,} x {size[1]:,} pixels, and is cut off at its "
            "edges. Send a smaller size."
        )
    width = min(size[0], int(wanted) + 2 * stroke + 2)
    layer = Image.new("RGBA", (max(1, width), min(size[1], step * len(lines) + 2 * stroke)), (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    across = alignment(overlay.position)[0]
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
    return _faded(layer, overlay.opacity), _position(layer.size, size, overlay.position, overlay.margin)


def _faded(picture: Image.Image, opacity: float) -> Image.Image:
    if opacity < 1:
        picture.putalpha(picture.getchannel("A").point(lambda value: round(value * opacity)))
    return picture


def _position(layer: tuple[int, int], size: tuple[int, int], position: str, margin: int) -> tuple[int, int]:
    across, down = alignment(position)
    return (
        max(0, round(margin + (size[0] - 2 * margin - layer[0]) * across)),
        max(0, round(margin + (size[1] - 2 * margin - layer[1]) * down)),
    )
