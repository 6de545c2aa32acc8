"""Frame pipeline: the steps of a transformation, in the documented order."""

from __future__ import annotations

from math import ceil
from typing import Final

from PIL import Image

from offloop.jobs.images import Transformation
from offloop.kinds.context import Context
from offloop_workers.images.frames import effects
from offloop_workers.images.frames.anchors import Box, anchor_of
from offloop_workers.images.frames.overlays import Overlays
from offloop_workers.images.frames.plan import Plan, Size, plan
from offloop_workers.images.frames.redaction import redacted
from offloop_workers.raster import bounds, colours, frames, orientation
from offloop_workers.raster.reading import Source, decode

# Clockwise; Pillow rotates counter-clockwise.
_ROTATIONS: Final = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
_FEW_COLOURS: Final = 64


class FramePipeline:
    """Processes the frames of one source.

    Args:
        source: open, at the selected frame or page.
        request: the transformation.
        context: takes warnings, and opens overlays.

    Attributes:
        source: as given.
        request: as given.
        upright: size of the source after orientation.
        orientation: that of the result's pixels; above 1 only where the request leaves the source as it is stored.
        exif: its EXIF metadata.
        info: Pillow's further metadata of the source.
        mode: of the source as it is stored.
        kept_profile: the colour profile to write with the result, if any.
    """

    def __init__(self, source: Source, request: Transformation, context: Context) -> None:
        self.source, self.request, self._context = source, request, context
        self.exif = orientation.exif_of(source.picture, context)
        self.info, self.mode = dict(source.picture.info), source.picture.mode
        self._profile: bytes | None = self.info.get("icc_profile")
        self.kept_profile: bytes | None = None
        self._orientation = orientation.of(source.picture, self.exif, context)
        self.orientation = 1 if request.orient else self._orientation.value
        requested = [
            _ROTATIONS.get(request.rotate),
            Image.Transpose.FLIP_TOP_BOTTOM if request.flip else None,
            Image.Transpose.FLIP_LEFT_RIGHT if request.mirror else None,
        ]
        self._rotation = [transposition for transposition in requested if transposition is not None]
        self.upright = self._orientation.upright_size
        self._rotated = self.upright if request.orient else self._orientation.stored
        for transposition in self._rotation:
            self._rotated = self._rotated[::-1] if orientation.swaps(transposition) else self._rotated
        self._moving = frames.is_animated(source)
        self._plan: Plan | None = None
        self._overlays: Overlays | None = None

    def process_still(self) -> Image.Image:
        """Decode the selected frame, at reduced size where the decoder can, and process it."""
        picture = self.source.picture
        if self.request.trim is None:
            most = bounds.picture_pixels(self._context)
            first = plan(self._rotated, self.request, anchor_of(self.request, None, self._rotated), most=most)
            if self.source.format == "jpeg" and first.factor < 1:
                picture.draft(picture.mode, (ceil(picture.width * first.factor), ceil(picture.height * first.factor)))
        decode(picture)
        return self.process(picture)

    def process(self, picture: Image.Image) -> Image.Image:
        """Process one decoded frame."""
        request = self.request
        # Profiles are applied after scaling, on fewer pixels. Redaction needs final colours, and CMYK and Lab have a
        # meaning only with their profile.
        convert_late = not request.redact and picture.mode not in {"CMYK", "LAB"}
        picture = colours.to_srgb(picture, None, self._context) if convert_late else self._in_srgb(picture)
        picture = self._oriented(picture)
        for transposition in self._rotation:
            picture = picture.transpose(transposition)
        geometry = self._plan = self._plan or self._planned(picture)
        picture = _scaled(picture, geometry, self._rotated, self._filter(picture))
        if convert_late:
            picture = self._in_srgb(picture)
        picture = effects.adjusted(picture, request)
        picture = effects.padded(picture, geometry.canvas, request.gravity)
        if request.background:
            picture = colours.flattened(picture, request.background)
        self._overlays = self._overlays or Overlays(request, picture.size, self._context)
        return self._overlays.on(picture)

    def _oriented(self, picture: Image.Image) -> Image.Image:
        """The picture redacted, and upright or as it is stored; redaction is measured on the upright one."""
        turned = self._orientation.transposition()
        if self.request.redact:
            picture = picture if turned is None else picture.transpose(turned)
            picture = redacted(picture, self.request.redact, self.upright)
            turned = None
        if not self.request.orient:
            turned = self._orientation.undone(upright=bool(self.request.redact))
        return picture if turned is None else picture.transpose(turned)

    def _filter(self, picture: Image.Image) -> Image.Resampling:
        """The filter for scaling; the sharpest one would put halos of many colours around the few of drawn frames."""
        drawn = self._moving and picture.getcolors(_FEW_COLOURS) is not None
        return Image.Resampling.HAMMING if drawn else Image.Resampling.LANCZOS

    def _planned(self, picture: Image.Image) -> Plan:
        """The geometry, which the first frame of an animation sets for all frames."""
        trim = self._trimmed(picture)
        anchor = anchor_of(self.request, picture, self._rotated)
        result = plan(self._rotated, self.request, anchor, trim, most=bounds.picture_pixels(self._context))
        if result.smaller_than_asked:
            width, height = result.canvas
            self._context.warn(
                f"The source is smaller than the box: the result has {width:,} x {height:,} pixels, "
                "in the same proportions. Send enlarge=true to enlarge it."
            )
        return result

    def _trimmed(self, picture: Image.Image) -> Box | None:
        if self.request.trim is None:
            return None
        found = effects.trimmed(picture, self.request.trim)
        if found is None:
            self._context.warn("trim found one colour only; nothing was cut.")
        return found

    def _changes_space(self, picture: Image.Image) -> bool:
        """Whether a later step makes a grey picture coloured, or a coloured one grey."""
        request = self.request
        if picture.mode in {"L", "LA"}:
            drawn = request.redact or request.image_overlays or request.text_overlays
            return bool(drawn or request.background) or request.fit == "pad"
        return request.greyscale

    def _in_srgb(self, picture: Image.Image) -> Image.Image:
        profile = self._profile
        if profile and "icc" in self.request.keep_metadata:
            if colours.fits_profile(picture, profile) and not self._changes_space(picture):
                self.kept_profile = profile
                return picture
            self._context.warn("The colour profile does not fit the result; its colours were converted to sRGB.")
        return colours.to_srgb(picture, profile, self._context)


def _scaled(picture: Image.Image, geometry: Plan, full: Size, by: Image.Resampling) -> Image.Image:
    """Crop and scale; the geometry is in pixels of the full picture, of which `picture` may be a smaller copy."""
    across, down = picture.width / full[0], picture.height / full[1]
    left, top, right, bottom = geometry.box
    box = (left * across, top * down, min(right * across, picture.width), min(bottom * down, picture.height))
    whole = tuple(map(round, box))
    if (whole[2] - whole[0], whole[3] - whole[1]) == geometry.scaled and all(
        abs(have - want) < 0.01  # noqa: PLR2004 -- of a pixel: a crop without resampling is enough
        for have, want in zip(box, whole, strict=True)
    ):
        return picture if geometry.scaled == picture.size else picture.crop(whole)  # type: ignore[arg-type]
    return picture.resize(geometry.scaled, by, box=box, reducing_gap=2.0)
