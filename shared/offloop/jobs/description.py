"""Input and output of `describe_image`; `offloop.jobs.images` declares the kind."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from offloop.kinds.kind import Model
from offloop.kinds.references import FileReference


class ImageToDescribe(Model):
    """Arguments of `describe_image`."""

    image: FileReference = Field(description="The picture: artifact:<id>, data:… or root:<name>/<path>.")
    colours: Annotated[int, Field(ge=1, le=32)] = Field(5, description="How many colours the palette has.")
    gps: bool = Field(default=False, description="Tell where it was taken; by default only whether that is known.")


class Camera(Model):
    """Metadata of the camera; null where the picture has none."""

    make: str | None = None
    model: str | None = None
    lens: str | None = None
    software: str | None = None
    taken_at: str | None = Field(None, description="Local time of the camera, ISO 8601.")
    orientation: int | None = Field(None, description="1 to 8; width and height are given upright.")
    exposure_seconds: float | None = None
    aperture: float | None = Field(None, description="f-number.")
    iso: int | None = None
    focal_length_mm: float | None = None
    artist: str | None = None
    copyright: str | None = None


class Location(Model):
    """Position at which the picture was taken."""

    latitude: float
    longitude: float
    altitude_m: float | None = None


class PaletteColour(Model):
    """A colour and how much of the picture it covers."""

    colour: str
    share: float


class Description(Model):
    """Description of a picture, without its pixels."""

    format: str
    mime_type: str
    width: int = Field(description="Pixels, upright.")
    height: int = Field(description="Pixels, upright.")
    mode: str = Field(description="Colour mode as it is stored, such as RGB, CMYK or P.")
    size: int = Field(description="Bytes.")
    sha256: str
    frames: int = Field(description="Frames or pages.")
    animated: bool
    duration_ms: int | None = Field(description="Of an animation, once through.")
    has_alpha: bool = Field(description="Whether it can be transparent somewhere.")
    progressive: bool
    dpi: tuple[float, float] | None
    colour_profile: str | None
    exif: Camera | None
    has_gps: bool
    gps: Location | None = Field(description="Only with gps=true.")
    palette: list[PaletteColour] = Field(description="The commonest first.")
    average_colour: str
    blank: bool = Field(description="One colour all over.")
    entropy: float = Field(description="Bits a pixel of its grey levels, 0 to 8.")
    blurhash: str = Field(description="A tiny preview as text.")
    dhash: str = Field(description="64 bits, hexadecimal; few bits differ between similar pictures.")
    phash: str = Field(description="The same, by frequencies: steadier against compression and scaling.")
