"""Metadata: EXIF of a source, and an allowlist of what the result keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from PIL import ExifTags, Image

from offloop.jobs.images import Camera, Location, Transformation
from offloop_workers.raster.warned import Warned

_BASE, _IFD, _GPS = ExifTags.Base, ExifTags.IFD, ExifTags.GPS
# An allowlist: maker notes, serial numbers, thumbnails of the unredacted picture and free texts are dropped.
_KEPT: Final = frozenset({_BASE.Make, _BASE.Model, _BASE.DateTime})
_RIGHTS: Final = frozenset({_BASE.Artist, _BASE.Copyright})
_KEPT_OF_CAMERA: Final = frozenset(
    {
        _BASE.ExposureTime,
        _BASE.FNumber,
        _BASE.ExposureProgram,
        _BASE.ISOSpeedRatings,
        _BASE.DateTimeOriginal,
        _BASE.OffsetTimeOriginal,
        _BASE.ExposureBiasValue,
        _BASE.MeteringMode,
        _BASE.Flash,
        _BASE.FocalLength,
        _BASE.FocalLengthIn35mmFilm,
        _BASE.LensMake,
        _BASE.LensModel,
    }
)
_MAX_TEXT: Final = 1_000
_MAX_SHOWN: Final = 200
_MAX_EXIF: Final = 60_000
"""Bytes; a JPEG has room for 65,533 in one segment."""


def kept(
    exif: Image.Exif, info: Mapping[Any, Any], orientation: int, request: Transformation, context: Warned
) -> dict[str, Any]:
    """The requested metadata of the source, as Pillow's options for saving.

    Args:
        exif: of the source.
        info: Pillow's further metadata of it.
        orientation: that of the result's pixels; 1 is upright.
        request: names the metadata to keep.
        context: takes warnings.
    """
    options: dict[str, Any] = {}
    _warn_of_other_metadata(info, request, context)
    result = _kept_exif(exif, set(request.keep_metadata), orientation)
    if len(result) or result.get_ifd(_IFD.Exif) or result.get_ifd(_IFD.GPSInfo):
        content = _encoded(result)
        if content is None or len(content) > _MAX_EXIF:
            context.warn("The camera's metadata is damaged or too long to keep; it was left out.")
        else:
            options["exif"] = content
    if "dpi" in request.keep_metadata and (found := dpi_of(info)):
        options["dpi"] = found
    return options


def _warn_of_other_metadata(info: Mapping[Any, Any], request: Transformation, warned: Warned) -> None:
    """Warn of texts that are not in EXIF, where metadata is to be kept."""
    if not {"exif", "copyright", "gps"} & set(request.keep_metadata):
        return
    found = {"XMP": ("xmp", "XML:com.adobe.xmp"), "IPTC": ("photoshop",), "comment": ("comment",)}
    if lost := [name for name, keys in found.items() if any(info.get(key) for key in keys)]:
        warned.warn(f"The source has metadata that is never kept: {', '.join(lost)}. Only EXIF can be.")


def _kept_exif(exif: Image.Exif, wanted: set[str], orientation: int) -> Image.Exif:
    result = Image.Exif()
    if "exif" in wanted:
        _copy(exif, result, _KEPT | _RIGHTS)
        _copy(exif.get_ifd(_IFD.Exif), result.get_ifd(_IFD.Exif), _KEPT_OF_CAMERA)
    if "copyright" in wanted:
        _copy(exif, result, _RIGHTS)
    if "gps" in wanted:
        _copy(exif.get_ifd(_IFD.GPSInfo), result.get_ifd(_IFD.GPSInfo), frozenset(_GPS))
    if "exif" in wanted and orientation != 1:
        result[_BASE.Orientation] = orientation
    return result


def dpi_of(info: Mapping[Any, Any]) -> tuple[float, float] | None:
    """The resolution in dots an inch; None where it is missing or invalid."""
    found = info.get("dpi")
    if not isinstance(found, tuple) or len(found) != 2:  # noqa: PLR2004 -- horizontal and vertical
        return None
    across, down = (_number(value) for value in found)
    return (across, down) if across and down and 0 < across < 1e5 and 0 < down < 1e5 else None  # noqa: PLR2004 -- sane


def camera(exif: Image.Exif, orientation: int | None) -> Camera | None:
    """The camera's EXIF entries with the orientation, or None where there are none."""
    inner = exif.get_ifd(_IFD.Exif)
    iso = inner.get(_BASE.ISOSpeedRatings)
    found = Camera(
        make=_text(exif.get(_BASE.Make)),
        model=_text(exif.get(_BASE.Model)),
        lens=_text(inner.get(_BASE.LensModel)),
        software=_text(exif.get(_BASE.Software)),
        taken_at=_time(inner.get(_BASE.DateTimeOriginal) or exif.get(_BASE.DateTime)),
        orientation=orientation,
        exposure_seconds=_number(inner.get(_BASE.ExposureTime)),
        aperture=_number(inner.get(_BASE.FNumber)),
        iso=iso if isinstance(iso, int) else None,
        focal_length_mm=_number(inner.get(_BASE.FocalLength)),
        artist=_text(exif.get(_BASE.Artist)),
        copyright=_text(exif.get(_BASE.Copyright)),
    )
    return found if any(value is not None for value in found.model_dump().values()) else None


def has_gps(exif: Image.Exif) -> bool:
    """Whether the picture contains its location."""
    return bool(exif.get_ifd(_IFD.GPSInfo))


def location(exif: Image.Exif) -> Location | None:
    """The location of the picture, in degrees."""
    gps = exif.get_ifd(_IFD.GPSInfo)
    latitude = _degrees(gps.get(_GPS.GPSLatitude), negative=gps.get(_GPS.GPSLatitudeRef) in {"S", b"S"})
    longitude = _degrees(gps.get(_GPS.GPSLongitude), negative=gps.get(_GPS.GPSLongitudeRef) in {"W", b"W"})
    if latitude is None or longitude is None:
        return None
    altitude = _number(gps.get(_GPS.GPSAltitude))
    if altitude is not None and gps.get(_GPS.GPSAltitudeRef) in {1, b"\x01"}:
        altitude = -altitude
    return Location(latitude=latitude, longitude=longitude, altitude_m=altitude)


def _copy(source: Any, target: Any, tags: frozenset[Any]) -> None:
    for tag in tags:
        value = source.get(int(tag))
        if value is not None and not (isinstance(value, (str, bytes)) and len(value) > _MAX_TEXT):
            target[int(tag)] = value


def _encoded(exif: Image.Exif) -> bytes | None:
    try:
        return exif.tobytes()
    except Exception:  # noqa: BLE001 -- values of a hostile file may fit no EXIF type
        return None


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return None
    text = "".join(character for character in value if character.isprintable()).strip()
    return (text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…") or None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return round(number, 6) if math.isfinite(number) else None


def _time(value: Any) -> str | None:
    text = _text(value)
    try:
        return datetime.strptime(text or "", "%Y:%m:%d %H:%M:%S").isoformat()  # noqa: DTZ007 -- the tag has no time zone
    except ValueError:
        return None


def _degrees(value: Any, *, negative: bool) -> float | None:
    if not isinstance(value, tuple) or len(value) != 3:  # noqa: PLR2004 -- degrees, minutes, seconds
        return None
    parts = [_number(part) for part in value]
    if None in parts:
        return None
    degrees = sum((part or 0) / 60**power for power, part in enumerate(parts))
    return round(-degrees if negative else degrees, 7) if degrees <= 180 else None  # noqa: PLR2004 -- of a circle
