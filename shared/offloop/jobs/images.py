"""Images: one picture in, one picture out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from offloop.job import Model, declare
from offloop.references import FileReference

MAX_PIXELS = 100_000_000
MAX_SIDE = 16_384

Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Format = Literal["jpeg", "png", "webp", "avif"]


class Transformation(Model):
    """What to do with a picture, in this order: orient by its metadata, rotate, resize, encode."""

    image: FileReference = Field(description="The picture: artifact:<id>, data:… or root:<name>/<path>.")
    width: Side | None = Field(None, description="Width of the result in pixels; without it, kept in proportion.")
    height: Side | None = Field(None, description="Height of the result in pixels; without it, kept in proportion.")
    fit: Literal["inside", "cover", "fill", "pad"] = Field(
        "inside",
        description="inside: fits into the box, never enlarged; cover: fills the box, cropped at the centre; "
        "fill: stretched to the box; pad: inside, on a background that fills the box.",
    )
    background: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] = Field(
        "#ffffff", description="Colour behind transparency and padding where the format has no transparency."
    )
    rotate: Literal[0, 90, 180, 270] = Field(0, description="Degrees clockwise.")
    format: Format | None = Field(None, description="Format of the result; without it, that of the source.")
    quality: Annotated[int, Field(ge=1, le=100)] = Field(80, description="For JPEG, WebP and AVIF.")
    name: Annotated[str, Field(min_length=1, max_length=120)] | None = Field(None, description="The file's name.")

    @model_validator(mode="after")
    def _whole_box(self) -> Transformation:
        if self.fit != "inside" and (self.width is None or self.height is None):
            message = f"fit={self.fit!r} needs both width and height"
            raise ValueError(message)
        return self


class Picture(Model):
    """What was made; the file itself is in the answer's ``artifacts``."""

    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    format: Format = Field(description="Format of the result.")
    size: int = Field(description="Size of the result in bytes.")
    source_width: int = Field(description="Pixels, after orientation.")
    source_height: int = Field(description="Pixels, after orientation.")
    source_format: str = Field(description="Format of the source.")
    source_size: int = Field(description="Size of the source in bytes.")


transform_image = declare(
    "transform_image",
    Transformation,
    Picture,
    description="""
        Resize, crop, rotate or convert a picture (JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP in; JPEG, PNG, WebP or AVIF
        out) and return it as an artifact. Camera metadata is applied and then removed. At most 100 megapixels.
    """,
    seconds=60,
    memory_mb=2048,
    queue="image",
    isolation="fork",
    pure=True,
    retries=2,
)
