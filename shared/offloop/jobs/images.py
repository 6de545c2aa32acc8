"""Images: transformation, description, contact sheets, responsive sets, near-duplicates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from offloop.jobs.description import Camera, Description, ImageToDescribe, Location, PaletteColour
from offloop.jobs.transformation import (
    FORMATS,
    MAX_FRAMES,
    MAX_MOVING_PIXELS,
    MAX_MOVING_RESULT,
    MAX_PIXELS,
    MAX_SIDE,
    Encoding,
    FileName,
    Format,
    Picture,
    Side,
    Transformation,
)
from offloop.jobs.values import Colour
from offloop.kinds.kind import Model, declare
from offloop.kinds.references import FileReference

__all__ = [
    "FORMATS",
    "MAX_FRAMES",
    "MAX_MOVING_PIXELS",
    "MAX_MOVING_RESULT",
    "MAX_PIXELS",
    "MAX_SIDE",
    "Camera",
    "Description",
    "Format",
    "ImageToDescribe",
    "Location",
    "PaletteColour",
    "Picture",
    "Transformation",
]

MAX_COMPARED = 2_000
MAX_ON_SHEET = 200


describe_image = declare(
    "describe_image",
    ImageToDescribe,
    Description,
    description="""
        Say what a picture is without changing it: format, size, frames, transparency, camera data, whether it gives
        away a position, palette, blurhash, perceptual hashes, sha256. Makes no file.
    """,
    seconds=60,
    memory_mb=1536,
    pixels=MAX_MOVING_PIXELS,
    family="images",
    queue="image",
    isolation="fork",
    sandbox="strict",
    pure=True,
    retries=2,
)

transform_image = declare(
    "transform_image",
    Transformation,
    Picture,
    description="""
        Change one picture: resize, crop, trim, rotate, redact, adjust, watermark, write on it, convert (JPEG, PNG,
        WebP, AVIF, GIF, TIFF, BMP, ICO; HEIC is read). Animations stay so; metadata goes. At most 100 megapixels.
        For several sizes of one picture use responsive_images.
    """,
    seconds=60,
    memory_mb=2048,
    pixels=MAX_MOVING_PIXELS,
    family="images",
    queue="image",
    isolation="fork",
    sandbox="strict",
    pure=True,
    retries=2,
)


class Failure(Model):
    """An input that could not be used; the others were."""

    index: int = Field(description="Its place in the list, from 0.")
    file: str = Field(description="Its reference, shortened.")
    code: str
    message: str


class SheetOfImages(Encoding):
    """Arguments of `contact_sheet`: pictures and layout."""

    images: Annotated[list[FileReference], Field(min_length=1, max_length=MAX_ON_SHEET)] = Field(
        description="The pictures, in order."
    )
    columns: Annotated[int, Field(ge=1, le=50)] | None = Field(None, description="Default: about as wide as high.")
    cell_width: Annotated[int, Field(ge=16, le=2_000)] = Field(240, description="Pixels.")
    cell_height: Annotated[int, Field(ge=16, le=2_000)] = Field(180, description="Pixels, without the caption.")
    gap: Annotated[int, Field(ge=0, le=200)] = Field(12, description="Pixels between cells and around them.")
    captions: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=MAX_ON_SHEET)] | None = Field(
        None, description="One for each picture. Default: its number, and its name where it has one. []: none."
    )
    caption_size: Annotated[int, Field(ge=6, le=64)] = 14
    text_colour: Colour = "#222222"
    fit: Literal["inside", "cover"] = Field("inside", description="Whole in its cell, or filling it.")
    format: Literal["jpeg", "png", "webp"] = "jpeg"
    name: FileName = "contact-sheet"

    @model_validator(mode="after")
    def _a_caption_for_each(self) -> SheetOfImages:
        if self.captions and len(self.captions) != len(self.images):
            message = f"captions has {len(self.captions)} lines for {len(self.images)} images: send one for each, or []"
            raise ValueError(message)
        return self


class Sheet(Model):
    """Output of `contact_sheet`; the file is in the answer's ``artifacts``."""

    width: int
    height: int
    columns: int
    rows: int
    placed: int = Field(description="Pictures on the sheet.")
    failed: list[Failure] = Field(description="Pictures that could not be used; their cells say so.")


contact_sheet = declare(
    "contact_sheet",
    SheetOfImages,
    Sheet,
    description="""
        Put up to 200 pictures on one sheet as captioned thumbnails, for an overview. A picture that cannot be read gets
        an empty cell and a reason.
    """,
    seconds=180,
    memory_mb=2048,
    pixels=MAX_MOVING_PIXELS,
    family="images",
    queue="image",
    isolation="fork",
    sandbox="strict",
    pure=True,
    retries=2,
)


WebFormat = Literal["avif", "webp", "jpeg", "png"]


class ResponsiveSet(Encoding):
    """Arguments of `responsive_images`: one picture, the widths and the formats."""

    image: FileReference = Field(description="The picture: artifact:<id>, data:… or root:<name>/<path>.")
    widths: Annotated[list[Side], Field(min_length=1, max_length=12)] = Field(
        [320, 640, 960, 1280, 1920], description="Pixels; none is larger than the source."
    )
    formats: Annotated[list[WebFormat], Field(min_length=1, max_length=4)] = Field(
        ["webp", "jpeg"], description="The last is what browsers fall back to."
    )
    sizes: Annotated[str, Field(max_length=500)] = Field("100vw", description="The sizes attribute of the snippet.")
    alt: Annotated[str, Field(max_length=1_000)] = Field("", description="The alt text of the snippet.")
    url_prefix: Annotated[str, Field(max_length=500, pattern=r"^[^\s<>\"',]*$")] = Field(
        "", description="Put before each name in the snippet, such as https://cdn.example/img/."
    )
    name: FileName | None = Field(None, description="The names' first part; default: that of the source.")


class Variant(Model):
    """One file of the set."""

    name: str
    format: str
    width: int
    height: int
    size: int = Field(description="Bytes.")


class Responsive(Model):
    """Output of `responsive_images`; the files are in the answer's ``artifacts``, in the same order."""

    variants: list[Variant]
    html: str = Field(description="A picture element that uses them.")
    srcset: dict[str, str] = Field(description="The srcset of each format.")


responsive_images = declare(
    "responsive_images",
    ResponsiveSet,
    Responsive,
    description="""
        Make all widths and formats of one picture that a web page needs, and the <picture> element with its srcset,
        ready to paste.
    """,
    seconds=180,
    memory_mb=2048,
    pixels=MAX_MOVING_PIXELS,
    family="images",
    queue="image",
    isolation="fork",
    sandbox="strict",
    pure=True,
    retries=2,
)


class ImagesToCompare(Model):
    """Arguments of `find_similar_images`."""

    images: Annotated[list[FileReference], Field(min_length=2, max_length=MAX_COMPARED)] = Field(
        description=f"2 to {MAX_COMPARED:,} pictures."
    )
    max_distance: Annotated[int, Field(ge=0, le=20)] = Field(
        8, description="Bits of 64 in which two may differ: 0 the same, 8 edited copies, above 12 mere resemblance."
    )


class Likeness(Model):
    """A picture of a group."""

    index: int = Field(description="Its place in the list, from 0.")
    file: str = Field(description="Its reference, shortened.")
    width: int
    height: int
    size: int = Field(description="Bytes.")
    distance: int = Field(description="Bits between it and the group's first.")
    identical: bool = Field(description="The same bytes as the group's first.")


class Similar(Model):
    """Groups of pictures that look alike."""

    groups: list[list[Likeness]] = Field(description="Two or more each; the largest picture first.")
    compared: int
    unique: int = Field(description="Pictures that resemble no other.")
    failed: list[Failure]


find_similar_images = declare(
    "find_similar_images",
    ImagesToCompare,
    Similar,
    description="""
        Find near-duplicates among up to 2,000 pictures: scaled, recompressed, slightly edited or converted copies of
        each other, grouped, with the largest first. Pictures that cannot be read are listed with a reason.
    """,
    seconds=300,
    memory_mb=1536,
    pixels=MAX_MOVING_PIXELS,
    family="images",
    queue="image",
    isolation="fork",
    sandbox="strict",
    pure=True,
    retries=2,
)
