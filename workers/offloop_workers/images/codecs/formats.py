"""Output formats: their properties, the choice of one, and file names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Final, cast

from PIL import Image, ImageChops

from offloop.jobs.images import FORMATS, Format
from offloop.kinds.context import Context
from offloop.kinds.references import FileReference, Scheme, parse


@dataclass(frozen=True, slots=True)
class Traits:
    """Properties of a format.

    Attributes:
        mime_type: its media type.
        extensions: of file names; the first is the default.
        longest: maximum pixels a side.
        transparent: whether it supports alpha.
        keeps: the metadata it supports.
        by_quality: whether it has a quality between 1 and 100.
    """

    mime_type: str
    extensions: tuple[str, ...]
    longest: int
    transparent: bool = True
    keeps: frozenset[str] = frozenset()
    by_quality: bool = False


_ALL: Final = frozenset({"exif", "icc_profile", "dpi"})
TRAITS: Final[MappingProxyType[str, Traits]] = MappingProxyType(
    {
        "jpeg": Traits("image/jpeg", (".jpg", ".jpeg"), 65_500, transparent=False, keeps=_ALL, by_quality=True),
        "png": Traits("image/png", (".png",), 1 << 30, keeps=_ALL),
        "webp": Traits("image/webp", (".webp",), 16_383, keeps=frozenset({"exif", "icc_profile"}), by_quality=True),
        "avif": Traits("image/avif", (".avif",), 32_768, keeps=frozenset({"exif", "icc_profile"}), by_quality=True),
        "gif": Traits("image/gif", (".gif",), 65_535),
        "tiff": Traits("image/tiff", (".tif", ".tiff"), 1 << 30, keeps=frozenset({"icc_profile", "dpi"})),
        "ico": Traits("image/vnd.microsoft.icon", (".ico",), 256),
        "bmp": Traits("image/bmp", (".bmp",), 1 << 30, transparent=False, keeps=frozenset({"dpi"})),
    }
)
MIME_TYPES: Final = MappingProxyType(
    {name: traits.mime_type for name, traits in TRAITS.items()} | {"heif": "image/heic"}
)
_EXTENSIONS: Final = {".heic", ".heif"}.union(*(traits.extensions for traits in TRAITS.values()))
_GREY: Final = frozenset({"jpeg", "png", "tiff"})
_SAMPLE: Final = 192
_MANY_COLOURS: Final = 0.08
"""Distinct colours per sampled pixel: photographs have 0.2 and more, drawings under 0.02."""
_FEW_LEVELS: Final = 32
_COMMON_LEVELS: Final = 8
"""The commonest grey levels: in drawings they cover nearly all, in photographs less than half."""


def chosen(asked: str | None, source_format: str, context: Context) -> Format | None:
    """The format of the result; None where it depends on the pixels."""
    if asked and asked != "auto":
        return cast("Format", asked)
    if asked is None and source_format in FORMATS:
        return source_format
    if asked is None:
        context.warn(
            f"{'HEIC' if source_format == 'heif' else source_format.upper()} is read but not written; the format was "
            "chosen as with format=auto."
        )
    return None


def suited(picture: Image.Image, source_format: str, *, moving: bool, lossless: bool) -> list[Format]:
    """The formats for a result of format=auto: the best one, and others to try where that made the file larger."""
    photograph, transparent = is_photograph(picture), is_transparent(picture)
    best: Format = "webp" if moving or (photograph and (transparent or lossless)) else "jpeg" if photograph else "png"
    best = "png" if transparent and not photograph and not moving else best
    if source_format not in FORMATS or source_format in {"bmp", "ico"}:
        return [best]
    able = (TRAITS[source_format].transparent or not transparent) and not (lossless and source_format == "jpeg")
    others: list[Format] = ["webp", *([source_format] if able else [])]
    return list(dict.fromkeys([best, *others]))


def takes_profile(form: Format, picture: Image.Image) -> bool:
    """Whether the format has a place for the picture's colour profile, and keeps the picture grey if it is."""
    if "icc_profile" not in TRAITS[form].keeps or picture.mode not in {"L", "LA"}:
        return "icc_profile" in TRAITS[form].keeps
    return form in _GREY and (picture.mode == "L" or TRAITS[form].transparent)


def is_transparent(picture: Image.Image) -> bool:
    """Whether any pixel is not opaque."""
    if picture.mode not in {"LA", "RGBA"}:
        return False
    least = picture.getchannel("A").getextrema()[0]
    return isinstance(least, (int, float)) and least < 255  # noqa: PLR2004 -- opaque


def is_photograph(picture: Image.Image) -> bool:
    """Whether most colours occur only once, or most grey levels often."""
    sample = picture.convert("RGB")
    size = (min(_SAMPLE, sample.width), min(_SAMPLE, sample.height))
    sample = sample.resize(size, Image.Resampling.NEAREST)
    count = size[0] * size[1]
    if is_grey(sample):  # there are 256 levels at most; drawings use a few of them, and their edges little of the rest
        levels = sorted(sample.getchannel("R").histogram(), reverse=True)
        return sum(1 for level in levels if level) > _FEW_LEVELS and sum(levels[:_COMMON_LEVELS]) < count / 2
    colours = sample.getcolors(count) or []
    return len(colours) > max(64, count * _MANY_COLOURS)


def is_grey(picture: Image.Image) -> bool:
    """Whether an opaque picture has no colours."""
    if picture.mode == "L":
        return True
    red, green, blue = picture.split()
    return all(ImageChops.difference(one, red).getbbox() is None for one in (green, blue))


def file_name(asked: str | None, reference: FileReference, form: str) -> str:
    """The requested name, or the name of the source, with the extension of the format."""
    extensions = TRAITS[form].extensions
    if asked:
        suffix = PurePosixPath(asked).suffix
        if suffix.lower() in extensions:
            return asked
        return asked.removesuffix(suffix if suffix.lower() in _EXTENSIONS else "") + extensions[0]
    return stem_of(reference) + extensions[0]


def stem_of(reference: FileReference) -> str:
    """The file name of the source without its extension; ``picture`` where it has no name."""
    parsed = parse(reference)
    return (PurePosixPath(parsed.path).stem if parsed.scheme is Scheme.ROOT else "") or "picture"


def shortened(reference: FileReference) -> str:
    """The reference, shortened for an answer, since ``data:`` contains the whole file."""
    return reference if len(reference) <= 100 else reference[:60] + "…"  # noqa: PLR2004 -- a line
