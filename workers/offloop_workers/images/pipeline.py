"""The darkroom: what is done to each frame, in the order that the request documents."""

from __future__ import annotations

from math import ceil
from typing import Final

from PIL import Image

from offloop.jobs.images import Transformation
from offloop.kinds.context import Context
from offloop_workers.images import bounds, colours, effects, metadata
from offloop_workers.images.anchors import Box, anchor_of
from offloop_workers.images.overlays import Overlays
from offloop_workers.images.plan import Plan, Size, plan
from offloop_workers.images.reading import Source
from offloop_workers.images.redaction import redacted

# Clockwise, as people say it; Pillow turns the other way.
_TURN: Final = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
_SWAPPING: Final = frozenset(
    {Image.Transpose.TRANSPOSE, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270}
)


class FramePipeline:
    """Develops the frames of one source.

    Args:
        source: opened, at the frame or page that is wanted.
        request: what to do.
        context: for warnings, and to open overlays.

    Attributes:
        upright: size of the source after orientation.
        exif: its metadata.
        info: what else Pillow found in its head.
        kept_profile: the colour profile the result is written with.
    """

    def __init__(self, source: Source, request: Transformation, context: Context) -> None:
        self._source, self._request, self._context = source, request, context
        self.exif = metadata.exif_of(source.picture, context)
        self.info = dict(source.picture.info)
        self._profile: bytes | None = self.info.get("icc_profile")
        self.kept_profile: bytes | None = None
        self._upturn = metadata.UPRIGHT.get(metadata.orientation(self.exif)) if request.orient else None
        asked = [_TURN.get(request.rotate)]
        asked.append(Image.Transpose.FLIP_TOP_BOTTOM if request.flip else None)
        asked.append(Image.Transpose.FLIP_LEFT_RIGHT if request.mirror else None)
        self._turns = [turn for turn in asked if turn is not None]
        self.upright = _after(source.picture.size, [self._upturn] if self._upturn is not None else [])
        self._turned = _after(self.upright, self._turns)
        self._plan: Plan | None = None
        self._overlays: Overlays | None = None

    def develop_still(self) -> Image.Image:
        """Decode the one frame that is wanted, no larger than is needed, and process it."""
        picture = self._source.picture
        if self._request.trim is None:
            most = bounds.still(self._context)
            first = plan(self._turned, self._request, anchor_of(self._request, None, self._turned), most=most)
            if self._source.format == "jpeg" and first.factor < 1:
                # The decoder can leave out what would be thrown away.
                picture.draft(picture.mode, (ceil(picture.width * first.factor), ceil(picture.height * first.factor)))
        picture.load()
        return self.process(picture)

    def process(self, picture: Image.Image) -> Image.Image:
        """One frame, from the source's pixels to the result's."""
        request = self._request
        late = not request.redact and picture.mode not in {"CMYK", "LAB"}  # only a profile says what these mean
        picture = self._in_srgb(picture) if not late else colours.to_srgb(picture, None, self._context)
        if self._upturn is not None:
            picture = picture.transpose(self._upturn)
        picture = redacted(picture, request.redact, self.upright)
        for turn in self._turns:
            picture = picture.transpose(turn)
        made = self._plan = self._plan or self._planned(picture)
        picture = _scaled(picture, made, self._turned)
        if late:  # on fewer pixels
            picture = self._in_srgb(picture)
        picture = effects.adjusted(picture, request)
        picture = effects.padded(picture, made.canvas, request.gravity)
        if request.background:
            picture = colours.flattened(picture, request.background)
        self._overlays = self._overlays or Overlays(request, picture.size, self._context)
        return self._overlays.on(picture)

    def _planned(self, picture: Image.Image) -> Plan:
        """The geometry; that of an animation's first frame holds for all."""
        trim = self._trimmed(picture)
        anchor = anchor_of(self._request, picture, self._turned)
        made = plan(self._turned, self._request, anchor, trim, most=bounds.still(self._context))
        if made.smaller_than_asked:
            self._context.warn(
                f"The source is smaller than the box: the result has {made.canvas[0]:,} x {made.canvas[1]:,} pixels, "
                "in the same proportions. Send enlarge=true to enlarge it."
            )
        return made

    def _trimmed(self, picture: Image.Image) -> Box | None:
        if self._request.trim is None:
            return None
        found = effects.trimmed(picture, self._request.trim)
        if found is None:
            self._context.warn("trim found one colour only; nothing was cut.")
        return found

    def _in_srgb(self, picture: Image.Image) -> Image.Image:
        profile = self._profile
        if profile and "icc" in self._request.keep_metadata:
            if colours.fits_profile(picture, profile):
                self.kept_profile = profile
                return picture
            self._context.warn("The colour profile does not fit the result; its colours were converted to sRGB.")
        return colours.to_srgb(picture, profile, self._context)


def _scaled(picture: Image.Image, made: Plan, full: Size) -> Image.Image:
    """Cut and scale; the plan is in the full picture's pixels, the picture may be a smaller copy."""
    across, down = picture.width / full[0], picture.height / full[1]
    box = (made.box[0] * across, made.box[1] * down, made.box[2] * across, made.box[3] * down)
    box = (box[0], box[1], min(box[2], picture.width), min(box[3], picture.height))
    whole = tuple(map(round, box))
    if (whole[2] - whole[0], whole[3] - whole[1]) == made.scaled and all(
        abs(have - want) < 0.01  # noqa: PLR2004 -- of a pixel: cutting is enough, and leaves the pixels as they are
        for have, want in zip(box, whole, strict=True)
    ):
        return picture if made.scaled == picture.size else picture.crop(whole)  # type: ignore[arg-type]
    return picture.resize(made.scaled, Image.Resampling.LANCZOS, box=box, reducing_gap=2.0)


def _after(size: Size, turns: list[Image.Transpose]) -> Size:
    for turn in turns:
        size = size[::-1] if turn in _SWAPPING else size
    return size
