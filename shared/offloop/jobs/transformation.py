"""Input and output of `transform_image`; `offloop.jobs.images` declares the kind."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from offloop.jobs.values import Colour, Proportions
from offloop.kinds.kind import Model
from offloop.kinds.references import FileReference

MAX_PIXELS = 100_000_000
MAX_SIDE = 16_384
MAX_FRAMES = 1_000
MAX_MOVING_PIXELS = 400_000_000
MAX_MOVING_RESULT = 100_000_000
MAX_OVERLAYS = 10

Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Length = Annotated[float, Field(ge=0, le=65_535, allow_inf_nan=False)]
Strength = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Factor = Annotated[float, Field(ge=0, le=4, allow_inf_nan=False)]
FileName = Annotated[str, Field(min_length=1, max_length=120)]
Format = Literal["jpeg", "png", "webp", "avif", "gif", "tiff", "ico", "bmp"]
FORMATS: tuple[Format, ...] = get_args(Format)
Place = Literal["center", "top", "bottom", "left", "right", "top_left", "top_right", "bottom_left", "bottom_right"]
_BRITISH = BeforeValidator(lambda word: "center" if word == "centre" else word)
Position = Annotated[Place, _BRITISH]
Gravity = Annotated[Literal[Place, "smart"], _BRITISH]
Fit = Literal["inside", "fit", "contain", "cover", "fill", "stretch", "pad"]
Metadata = Literal["icc", "exif", "gps", "copyright", "dpi"]


class Box(Model):
    """A rectangle, measured from the top left corner."""

    left: Length = Field(description="From the left edge.")
    top: Length = Field(description="From the top edge.")
    width: Annotated[Length, Field(gt=0)]
    height: Annotated[Length, Field(gt=0)]
    unit: Literal["px", "percent"] = Field("px", description="Pixels, or hundredths of the picture's sides.")


class Redaction(Box):
    """A rectangle whose content is removed for good, in pixels of the upright source (see describe_image)."""

    method: Literal["fill", "pixelate", "blur"] = Field(
        "fill", description="fill hides everything; pixelate and blur keep a few averaged colours."
    )
    colour: Colour = Field("#000000", description="For fill.")


class Focus(Model):
    """The point that matters most: 0, 0 is the top left corner, 1, 1 the bottom right one."""

    x: Share
    y: Share


class TextOverlay(Model):
    """Words on the picture."""

    text: Annotated[str, Field(min_length=1, max_length=2_000)] = Field(
        description="Wrapped at the picture's width; line breaks are kept."
    )
    size: Annotated[int, Field(ge=4, le=1_000)] = Field(32, description="Height of the font in pixels of the result.")
    colour: Colour = "#ffffff"
    outline: Colour | None = Field(None, description="A thin line around the letters; readable on any ground.")
    opacity: Share = 1.0
    position: Position = "bottom_right"
    margin: Annotated[int, Field(ge=0, le=10_000)] = Field(16, description="Pixels to the edge.")
    font: FileReference | None = Field(
        None, description="A TrueType or OpenType font; the shipped one has Latin, Greek and Cyrillic letters."
    )


class ImageOverlay(Model):
    """Another picture on the picture: a logo or watermark."""

    image: FileReference
    scale: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = Field(
        0.25, description="Width as a share of the picture's width; the height follows, and fits as well."
    )
    opacity: Share = 1.0
    position: Position = "bottom_right"
    margin: Annotated[int, Field(ge=0, le=10_000)] = Field(16, description="Pixels to the edge, or between tiles.")
    tile: bool = Field(default=False, description="Repeat it over the whole picture.")


class Encoding(Model):
    """Encoding options, shared by the kinds that write pictures."""

    quality: Annotated[int, Field(ge=1, le=100)] = Field(80, description="For JPEG, WebP and AVIF.")
    lossless: bool = Field(default=False, description="For WebP and AVIF; quality is then ignored.")
    progressive: bool = Field(default=True, description="For JPEG: shows early while loading.")
    background: Colour | None = Field(
        None,
        description="Colour behind transparency and padding. Without it they stay transparent where the format can, "
        "and are white elsewhere.",
    )


class Transformation(Encoding):
    """Arguments of `transform_image`. The order of operations is fixed, whatever the order of the arguments.

    1 page or frames, 2 orient, 3 colours to sRGB, 4 redact, 5 rotate, flip, mirror, 6 trim, 7 crop, 8 aspect_ratio,
    9 width, height, fit, 10 greyscale, brightness, contrast, saturation, 11 blur, sharpen, 12 background,
    13 image overlays, 14 text overlays, 15 encode.
    """

    image: FileReference = Field(description="The picture: artifact:<id>, data:… or root:<name>/<path>.")
    page: Annotated[int, Field(ge=1, le=10_000)] = Field(1, description="Which page or frame, where one is wanted.")
    animated: bool | None = Field(
        None,
        description="true keeps all frames, false takes one. Default: keep them where source and result move "
        "(GIF, WebP, AVIF, animated PNG).",
    )
    max_frames: Annotated[int, Field(ge=1, le=MAX_FRAMES)] = Field(
        MAX_FRAMES, description="Keep at most so many frames, from the first on."
    )
    orient: bool = Field(default=True, description="Apply the camera's orientation.")
    redact: Annotated[list[Redaction], Field(max_length=100)] = Field(
        default_factory=list, description="Parts to remove, measured on the upright source."
    )
    rotate: Literal[0, 90, 180, 270] = Field(0, description="Degrees clockwise.")
    flip: bool = Field(default=False, description="Upside down.")
    mirror: bool = Field(default=False, description="Left and right exchanged.")
    trim: Annotated[int, Field(ge=0, le=255)] | None = Field(
        None, description="Cut borders of the colour of the top left corner; how far it may differ, 10 is usual."
    )
    crop: Box | None = Field(None, description="The part to keep, after rotation and trim.")
    aspect_ratio: Proportions | None = Field(None, description="Crop to these proportions, such as 16:9.")
    width: Side | None = Field(None, description="Width of the result in pixels; without it, kept in proportion.")
    height: Side | None = Field(None, description="Height of the result in pixels; without it, kept in proportion.")
    fit: Fit = Field(
        "inside",
        description="inside (also fit, contain): fits into the box; cover: fills the box, the rest is cut; "
        "fill (also stretch): distorted to the box; pad: inside, on a ground that fills the box.",
    )
    enlarge: bool = Field(default=False, description="Allow a result larger than the source.")
    dpr: Annotated[float, Field(ge=0.1, le=8, allow_inf_nan=False)] = Field(
        1.0, description="Device pixel ratio: width and height are multiplied by it."
    )
    gravity: Gravity = Field(
        "center", description="What cover, aspect_ratio and pad keep or align to; smart looks for the busiest part."
    )
    focus: Focus | None = Field(None, description="A point to keep, instead of gravity.")
    greyscale: bool = False
    brightness: Factor = Field(1.0, description="1 leaves it; 0 is black.")
    contrast: Factor = Field(1.0, description="1 leaves it; 0 is grey.")
    saturation: Factor = Field(1.0, description="1 leaves it; 0 is black and white.")
    blur: Strength = Field(0.0, description="Radius in pixels of the result.")
    sharpen: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = Field(0.0, description="Radius in pixels.")
    image_overlays: Annotated[list[ImageOverlay], Field(max_length=MAX_OVERLAYS)] = Field(default_factory=list)
    text_overlays: Annotated[list[TextOverlay], Field(max_length=MAX_OVERLAYS)] = Field(default_factory=list)
    format: Literal[Format, "auto"] | None = Field(
        None,
        description="Format of the result; without it, that of the source. auto: WebP for animations and "
        "transparency, JPEG for photographs, PNG for drawings.",
    )
    max_bytes: Annotated[int, Field(ge=100, le=1 << 30)] | None = Field(
        None, description="Lower quality until the file is no larger; fails where that is not enough."
    )
    keep_metadata: Annotated[list[Metadata], Field(max_length=5)] = Field(
        default_factory=list,
        description="What to keep; by default nothing. exif is without position, maker notes and thumbnail; "
        "gps adds the position; icc keeps the colour profile instead of converting to sRGB.",
    )
    name: FileName | None = Field(None, description="The file's name.")

    @model_validator(mode="before")
    @classmethod
    def _one_word_for_each_fit(cls, given: Any) -> Any:
        words = {"fit": "inside", "contain": "inside", "stretch": "fill"}
        if isinstance(given, dict) and isinstance(fit := given.get("fit"), str) and fit in words:
            return {**given, "fit": words[fit]}
        return given

    @model_validator(mode="after")
    def _makes_sense(self) -> Transformation:
        if self.fit != "inside" and (self.width is None or self.height is None):
            message = f"fit={self.fit!r} needs both width and height"
            raise ValueError(message)
        if self.aspect_ratio and not all(map(float, self.aspect_ratio.split(":"))):
            message = "aspect_ratio needs two numbers above 0, such as 16:9"
            raise ValueError(message)
        return self


class Picture(Model):
    """Output of `transform_image`; the file is in the answer's ``artifacts``."""

    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    format: Format = Field(description="Format of the result.")
    size: int = Field(description="Size of the result in bytes.")
    frames: int = Field(1, description="Above 1 for an animation.")
    quality: int | None = Field(None, description="Quality it was written with; null where the format has none.")
    source_width: int = Field(description="Pixels, after orientation.")
    source_height: int = Field(description="Pixels, after orientation.")
    source_format: str = Field(description="Format of the source.")
    source_size: int = Field(description="Size of the source in bytes.")
