"""Outcome of a transformation: the file in the best format, no larger than need be, and what it could not keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

from offloop.errors import JobError
from offloop.jobs.images import Format
from offloop.jobs.transformation import Encoding
from offloop_workers.images.codecs import encoding, formats, metadata, saving
from offloop_workers.images.codecs.saving import Result, Timing
from offloop_workers.images.frames.pipeline import FramePipeline
from offloop_workers.raster import colours
from offloop_workers.raster.warned import Warned

_LOWEST_QUALITY = 30
"""Of a file that is to be no larger than its source; below, it would look worse than that."""
_SEARCHED = 8_000_000
"""Pixels of a result above which it takes many seconds to encode it several times."""
_FEWEST_OF_STILL, _FEWEST_MOVING = 64, 8
"""Colours of a file that is to be no larger than its source."""
_LOSSY = frozenset({"jpeg", "avif", "heif"})
_NOTABLE = 16_000
"""Bytes that a file may grow by without a word."""


@dataclass(slots=True)
class Made:
    """An encoded result.

    Attributes:
        form: its format.
        size: width and height.
        content: the file.
        quality: None where the format has none.
        frames: in the file.
        warnings: about this format.
    """

    form: Format
    size: tuple[int, int] = (0, 0)
    content: bytes = b""
    quality: int | None = None
    frames: int = 1
    warnings: list[str] = field(default_factory=list)

    def warn(self, message: str) -> None:
        """Keep a warning until this format is taken."""
        self.warnings.append(message)


def smallest(
    forms: Sequence[Format], frames: list[Image.Image], timing: Timing, pipeline: FramePipeline, context: Warned
) -> Made:
    """The file in the first format, or, where it is larger than the source, in the one that makes it smallest.

    Args:
        forms: the best format first.
        frames: of the result.
        timing: of an animation.
        pipeline: that made the frames.
        context: takes the warnings of the format that is taken.

    Raises:
        JobError: the result does not fit the first format, or cannot be as small as the request says.
    """
    encoder = _Encoder(frames, timing, pipeline)
    made = encoder.first(forms)
    if len(forms) > 1 and len(made.content) > pipeline.source.bytes:
        candidates = [made, *filter(None, map(encoder.possible, forms[1:]))]
        made = min(candidates, key=lambda one: len(one.content))
        if len(made.content) > pipeline.source.bytes:
            made = encoder.at_lower_quality(forms) or encoder.with_fewer_colours(made) or made
    if pipeline.request.format == "auto" and len(made.content) > pipeline.source.bytes:
        _warn_of_growth(made, pipeline)
    for message in made.warnings:
        context.warn(message)
    return made


@dataclass(frozen=True, slots=True)
class _Encoder:
    """Encodes the same frames in one format or another."""

    frames: list[Image.Image]
    timing: Timing
    pipeline: FramePipeline

    def first(self, forms: Sequence[Format]) -> Made:
        """The file in the first of the formats that can have it; with format=auto, WebP is tried at last.

        Raises:
            JobError: none can; about the first.
        """
        try:
            return self.made(forms[0])
        except JobError:
            others: list[Format] = [*forms[1:], "webp"] if self.pipeline.request.format == "auto" else []
            found = next(filter(None, map(self.possible, others)), None)
            if found is None:
                raise
            return found

    def made(self, form: Format, most: int | None = None) -> Made:
        """The file in a format, of at most so many bytes; by default, of as many as the request allows."""
        request, made = self.pipeline.request, Made(form)
        frames, profile = self._with_profile(form, made)
        fitted = [encoding.fitted(frame, form, request.background, made) for frame in frames]
        result = Result(
            fitted,
            form,
            self._options(form),
            self.timing,
            _extras(self.pipeline, form, profile, made),
            simplify=request.format == "auto" or self.pipeline.mode in {"1", "P"},
        )
        content, made.quality = encoding.encode(result, most or request.max_bytes, made)
        made.size, made.frames = fitted[0].size, len(fitted)
        made.content = _not_grown(result, content, self.pipeline, made)
        made.quality = made.quality if made.content == content else None  # lossless, with fewer colours
        _warn_of_loss(result, self.pipeline, made)
        if len(fitted) > 1:
            made.frames = saving.frames_of(made.content)
            _warn_of_timing(result, made)
        return made

    def _with_profile(self, form: Format, warned: Warned) -> tuple[list[Image.Image], bytes | None]:
        """The frames and the profile to write with them; frames in sRGB where the format has no place for it."""
        profile = self.pipeline.kept_profile
        if profile is None or formats.takes_profile(form, self.frames[0]):
            return self.frames, profile
        warned.warn(f"{form} has no place for this colour profile; the colours were converted to sRGB.")
        return [colours.to_srgb(frame, profile, warned) for frame in self.frames], None

    def possible(self, form: Format, most: int | None = None) -> Made | None:
        """The same; None where the format cannot have it."""
        try:
            return self.made(form, most)
        except JobError:
            return None

    def at_lower_quality(self, forms: Sequence[Format]) -> Made | None:
        """The file of the best quality that is no larger than the source, unless the request names a quality."""
        request, most = self.pipeline.request, self.pipeline.source.bytes
        width, height = self.frames[0].size
        if (
            request.lossless
            or "quality" in request.model_fields_set
            or width * height * len(self.frames) > _SEARCHED
            or width * height > self.pipeline.upright[0] * self.pipeline.upright[1]
        ):
            return None
        found = [self.possible(form, most) for form in forms if formats.TRAITS[form].by_quality]
        kept = [one for one in found if one and one.quality and one.quality >= _LOWEST_QUALITY]
        best = max(kept, key=lambda one: one.quality or 0, default=None)
        if best:
            best.warn(f"The quality is {best.quality}, so that the file is no larger than the source.")
        return best

    def with_fewer_colours(self, made: Made) -> Made | None:
        """The still as a PNG of few colours, where that is enough to make it no larger than the source."""
        if (
            self.pipeline.request.lossless
            or self.pipeline.source.format in _LOSSY
            or len(self.frames) > 1
            or formats.is_photograph(self.frames[0])
        ):
            return None
        most, few = self.pipeline.source.bytes, Made("png", made.size)
        frames, profile = self._with_profile("png", few)
        extras = _extras(self.pipeline, "png", profile, few)
        fitted = encoding.fitted(frames[0], "png", None, few)
        result = Result([fitted], "png", self.pipeline.request, extras=extras, simplify=True)
        few.content = _with_fewer_colours(result, most, made.content, _FEWEST_OF_STILL, few)
        return few if len(few.content) <= most else None

    def _options(self, form: Format) -> Encoding:
        """The requested ones; drawings lose nothing more in WebP with format=auto."""
        request = self.pipeline.request
        drawn = request.format == "auto" and form == "webp" and len(self.frames) == 1
        if drawn and self.pipeline.source.format not in _LOSSY and not formats.is_photograph(self.frames[0]):
            return request.model_copy(update={"lossless": True})
        return request


def _extras(pipeline: FramePipeline, form: Format, profile: bytes | None, warned: Warned) -> dict[str, object]:
    extras = metadata.kept(pipeline.exif, pipeline.info, pipeline.orientation, pipeline.request, warned)
    if profile:
        extras["icc_profile"] = profile
    if lost := sorted(set(extras) - formats.TRAITS[form].keeps):
        warned.warn(f"{form} has no room for {', '.join(lost)}; it was left out.")
    return extras


def _not_grown(result: Result, content: bytes, pipeline: FramePipeline, warned: Warned) -> bytes:
    """The file, with fewer colours where an animation would grow although it has no more pixels."""
    source, (width, height) = pipeline.source, result.frames[0].size
    most = source.bytes
    if (
        result.form != source.format
        or len(content) <= most
        or width * height > pipeline.upright[0] * pipeline.upright[1]
    ):
        return content
    if len(result.frames) > 1 and not (result.form == "webp" and formats.is_photograph(result.frames[0])):
        content = _with_fewer_colours(result, most, content, _FEWEST_MOVING, warned)
    if len(content) > most * 1.1 + _NOTABLE and pipeline.request.format != "auto":  # which has a warning of its own
        warned.warn(
            f"The result has {len(content):,} bytes, the source {most:,}: the source is compressed harder. Send "
            "max_bytes, a lower quality or format='auto' for a smaller file."
        )
    return content


def _with_fewer_colours(result: Result, most: int, content: bytes, fewest: int, warned: Warned) -> bytes:
    """The file with fewer colours where that makes it small enough; else the content, as it is."""
    width, height = result.frames[0].size
    if width * height * len(result.frames) > _SEARCHED:
        return content
    smaller, left = encoding.with_fewer_colours(result, most, content, fewest)
    if len(smaller) > most:
        return content
    if left:
        warned.warn(f"The result was reduced to {left} colours to stay as small as the source.")
    return smaller


def _warn_of_growth(made: Made, pipeline: FramePipeline) -> None:
    reason = "its pixels, as they are now, cannot be compressed as well as those of the source"
    if pipeline.source.format == "heif":
        reason = "HEIC, which is not written, compresses harder"
    elif "quality" in pipeline.request.model_fields_set:
        reason = "the quality is as asked for"
    elif made.size[0] * made.size[1] > pipeline.upright[0] * pipeline.upright[1]:
        reason = "it has more pixels"
    elif made.size[0] * made.size[1] * made.frames > _SEARCHED:
        reason = "it has too many pixels to look for a smaller form"
    made.warn(f"The result is larger than the source: {reason}.")


def _warn_of_loss(result: Result, pipeline: FramePipeline, made: Made) -> None:
    """Warn where the format cannot be as exact as the request or the source."""
    if result.form == "jpeg" and result.encoding.lossless:
        made.warn("jpeg is never without loss: send format png or webp for lossless=true.")
    if result.form == "gif" and pipeline.source.format != "gif" and result.frames[0].getcolors(256) is None:
        made.warn("gif has at most 256 colours: those of the picture were reduced to them.")


def _warn_of_timing(result: Result, made: Made) -> None:
    if made.frames < len(result.frames):
        joined = len(result.frames) - made.frames
        made.warn(f"{joined} frames that equal the one before were joined with it; the times were added up.")
    if result.form == "gif" and any(duration % 10 for duration in result.timing.durations):
        made.warn("gif counts time in hundredths of a second: the times of the frames were rounded.")
    if result.form == "avif" and result.timing.plays:
        made.warn(f"avif repeats for ever: that the source plays {result.timing.plays} times was lost.")
