"""Hostile input of the image kinds."""

from __future__ import annotations

import zipfile
from io import BytesIO
from typing import Any, Final

from hostile import image_files as files
from hostile.cases import Case
from hostile.image_files import data
from support.files.pictures import encoded

_DONE: Final = frozenset({"completed"})
_LIMIT: Final = frozenset({"limit_exceeded"})
_BAD: Final = frozenset({"bad_input"})
_NOT_ONE: Final = frozenset({"not_an_image"})
_DAMAGED: Final = frozenset({"damaged_image"})
_BROKEN: Final = _NOT_ONE | _DAMAGED
_ANY: Final = _DONE | _LIMIT | _BROKEN
_NEVER: Final = ("Traceback", "site-packages", "root:x:0", "offloop_workers")
_VALID: Final = data(files.picture())


def _transform(name: str, content: bytes | str, outcome: frozenset[str], /, **more: Any) -> Case:
    image = content if isinstance(content, str) else data(content)
    return Case(name, "transform_image", {"image": image, "format": "png", **more}, outcome, _NEVER)


def _describe(name: str, content: bytes, outcome: frozenset[str], /, **more: Any) -> Case:
    return Case(name, "describe_image", {"image": data(content), **more}, outcome, _NEVER)


def _zip() -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x.html", "<script>alert(1)</script>")
    return out.getvalue()


_BOMBS = [
    _transform("a PNG that claims 3,600 megapixels", files.head_only(60_000, 60_000), _LIMIT),
    _transform("a PNG of 18 KB that decompresses to 144 megapixels", files.png_bomb(), _LIMIT),
    _describe("the same, to be described", files.png_bomb(), _LIMIT),
    _transform("a PNG that claims the most a PNG can", files.head_only(2**31 - 1, 2**31 - 1), _LIMIT),
    _transform("a GIF that claims 65,535 a side", files.gif(65_535, 65_535, 1), _LIMIT),
    _transform("a WebP that claims 16,383 a side", files.webp_liar(), _LIMIT),
    _transform("an AVIF whose box claims 900 megapixels", files.sized_in_box("AVIF", 30_000, 30_000), _LIMIT | _BROKEN),
    _transform("an AVIF of 2.2 KB with 268 megapixels", files.avif_bomb(), _LIMIT),
    _transform("a HEIC whose box claims 900 megapixels", files.sized_in_box("HEIF", 30_000, 30_000), _LIMIT | _BROKEN),
    _transform("a TIFF that claims 10,000 megapixels", files.tiff(100_000, 100_000), _LIMIT),
    _transform(
        "a TIFF with one huge tile",
        files.tiff(100, 100, (322, 4, 1, 60_000), (323, 4, 1, 60_000), (324, 4, 1, 8)),
        _LIMIT | _BROKEN,
    ),
    _transform("a BMP that claims the most a BMP can", files.bmp_liar(2**31 - 1, 2**31 - 1), _LIMIT | _BROKEN),
    _transform("a BMP of negative size", files.bmp_liar(-(2**31), -(2**31)), _LIMIT | _BROKEN),
    _transform("an icon that holds 144 megapixels", files.ico_of(files.png_bomb()), _LIMIT),
    _describe("the same icon, to be described", files.ico_of(files.png_bomb()), _LIMIT),
    _transform("a JPEG that claims 4,290 megapixels", files.jpeg_sized(65_500, 65_500), _LIMIT),
    _transform("a JPEG of one pixel's height and full width", files.jpeg_sized(65_500, 1), _ANY),
    _transform("frames times pixels", files.gif(4_000, 4_000, 200), _LIMIT, format="gif"),
    _transform("a hundred thousand frames", files.gif(2, 2, 30_000), _DONE, format="gif"),
    _describe("thirty thousand frames, to be described", files.gif(2, 2, 30_000), _DONE),
    _transform("an animation that claims 2**32 frames", files.apng_liar(), _LIMIT | _BROKEN | _DONE),
    _transform("a text of a PNG that is a bomb", files.png_with(files.decompressing(b"zTXt")), _DAMAGED),
    _transform("an XMP of a PNG that is a bomb", files.png_with(files.decompressing(b"iTXt")), _DAMAGED),
    _transform("a colour profile that is a bomb", files.png_with(files.decompressing(b"iCCP")), _DAMAGED),
    _describe(
        "a colour profile that is a bomb, to be described", files.png_with(files.decompressing(b"iCCP")), _DAMAGED
    ),
    _transform("a JPEG that is read over and over", files.slow_jpeg(400), _ANY | {"crashed"}),
]

_DISGUISED = [
    _transform(
        "PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(/etc/passwd) run\n", _NOT_ONE
    ),
    _transform(
        "a Photoshop file", b"8BPS\0\1" + bytes(20) + b"\0\3\0\0\xff\xff\0\0\xff\xff\0\x08\0\3" + bytes(40), _NOT_ONE
    ),
    _transform(
        "an SVG drawing that reads a file",
        b"<?xml version='1.0'?><!DOCTYPE s [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"
        b"<svg xmlns='http://www.w3.org/2000/svg'><text>&x;</text></svg>",
        _NOT_ONE,
    ),
    _transform("a FLI animation", b"\x80\0\0\0\x12\xaf\xff\xff\xff\xff\xff\xff\x08\0" + bytes(120), _NOT_ONE),
    _transform("a page of HTML", b"<!DOCTYPE html><script>alert(1)</script>", _NOT_ONE),
    _transform("a ZIP archive", _zip(), _NOT_ONE),
    _transform("a PDF", b"%PDF-1.7\n1 0 obj<</OpenAction 2 0 R>>endobj", _NOT_ONE),
    _transform("an Apple icon", b"icns\0\0\xff\xffic10\0\0\xff\xf0" + files.png_bomb(), _NOT_ONE),
    _transform("a JPEG 2000", encoded("JPEG2000"), _NOT_ONE),
    _transform("nothing", "data:image/png;base64,", _NOT_ONE),
    _transform("a GIF that is a script as well", files.gif_script(), _DONE | _BROKEN, name="x.js"),
    _transform("a PNG with an archive behind it", files.png_then(_zip()), _DONE),
    _transform(
        "a JPEG with a page in its comment", files.jpeg_with((0xFE, b"<script>alert(1)</script>")), _DONE, format="jpeg"
    ),
    _transform("the start of a JPEG before a PNG", b"\xff\xd8\xff\xe0" + files.picture(), _BROKEN),
]

_CUT = [
    _transform(f"the first half of a {form}", files.cut(form), _BROKEN)
    for form in ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF", "TIFF", "BMP", "ICO")
]

_METADATA = [
    _transform("EXIF that points to itself", files.exif_loop(), _DONE, keep_metadata=["exif", "gps"]),
    _describe("EXIF that points to itself, to be described", files.exif_loop(), _DONE, gps=True),
    _describe("EXIF with 2**32 items", files.exif_claims(), _DONE | _DAMAGED),
    _describe("a position divided by zero", files.gps_by_zero(), _DONE, gps=True),
    _transform("64 KB of EXIF rubbish", files.jpeg_with((0xE1, b"Exif\0\0II*\0" + b"\xff" * 65_000)), _DONE | _DAMAGED),
    _transform(
        "megabytes of colour profile",
        files.jpeg_with(*[(0xE2, b"ICC_PROFILE\0" + bytes([n, 20]) + b"\xff" * 60_000) for n in range(1, 6)]),
        _DONE,
    ),
    _transform("a TIFF whose pages form a loop", files.tiff(10, 10, following=8), _ANY | {"no_such_page"}, page=9_000),
    _transform("a TIFF whose pages form a loop, first page", files.tiff(10, 10, following=8), _ANY),
    _transform("a TIFF whose second page is a bomb", files.tiff_grown(), _LIMIT, page=2),
    _transform("a TIFF whose page lies outside", files.tiff(10, 10, following=2**31), _ANY),
    _transform("a JPEG that claims 5,000 pictures", files.mpo_liar(), _DONE | _BROKEN),
    _transform("a palette that is too short", files.png_palette_overflow(), _DONE | _DAMAGED),
    _transform("CMYK that claims to be YCCK", files.cmyk_odd(), _DONE),
]

_ARGUMENTS = [
    _transform("a width of 10**9", _VALID, _BAD, width=10**9),
    _transform("a negative height", _VALID, _BAD, height=-1),
    _transform("a dpr that is not a number", _VALID, _BAD, dpr=float("nan")),
    _transform("an infinite blur", _VALID, _BAD, blur=float("inf")),
    _transform("a dpr that makes it too large", _VALID, _LIMIT, width=16_000, dpr=8, enlarge=True),
    _transform("the largest box there is", _VALID, _LIMIT, width=16_384, height=16_384, fit="pad"),
    _transform(
        "a crop outside", _VALID, frozenset({"outside"}), crop={"left": 9_999, "top": 0, "width": 5, "height": 5}
    ),
    _transform(
        "a redaction outside",
        _VALID,
        frozenset({"outside"}),
        redact=[{"left": 9_999, "top": 0, "width": 5, "height": 5}],
    ),
    _transform("proportions of nothing", _VALID, _BAD, aspect_ratio="0:0"),
    _transform("a million letters", _VALID, _BAD, text_overlays=[{"text": "x" * 1_000_000}]),
    _transform(
        "large letters without a space",
        _VALID,
        _DONE,
        text_overlays=[{"text": "W" * 2_000, "size": 1_000, "outline": "#000000"}] * 10,
    ),
    _transform("letters that combine", _VALID, _DONE, text_overlays=[{"text": "e" + "\u0301" * 1_900, "size": 300}]),
    _transform("bidirectional control characters", _VALID, _DONE, text_overlays=[{"text": "\u202e\u2066\0abc" * 100}]),
    _transform(
        "a font of rubbish",
        _VALID,
        frozenset({"bad_font"}),
        text_overlays=[{"text": "x", "font": data(files.font_claiming())}],
    ),
    _transform(
        "a font that is a picture", _VALID, frozenset({"bad_font"}), text_overlays=[{"text": "x", "font": _VALID}]
    ),
    _transform("an overlay that is a bomb", _VALID, _LIMIT, image_overlays=[{"image": data(files.png_bomb())}]),
    _transform(
        "an overlay that is PostScript", _VALID, _NOT_ONE, image_overlays=[{"image": data(b"%!PS-Adobe-3.0 EPSF-3.0")}]
    ),
    _transform("a hundred overlays", _VALID, _BAD, image_overlays=[{"image": _VALID}] * 100),
    _transform(
        "tiles of a pixel",
        _VALID,
        _DONE,
        width=4_000,
        enlarge=True,
        image_overlays=[{"image": _VALID, "tile": True, "scale": 0.0001, "margin": 0}],
    ),
    _transform("a name that climbs", _VALID, _DONE, name="../../../../etc/cron.d/x"),
    _transform("a name that splits headers", _VALID, _DONE, name='x"\r\nSet-Cookie: a=b\0.png'),
    _transform("a size that cannot be", data(encoded("JPEG")), frozenset({"max_bytes"}), format="jpeg", max_bytes=100),
    _transform("a file of the machine", "file:///etc/passwd", _BAD),
    _transform("a path that climbs", "root:in/../../../etc/passwd", _BAD | {"unreadable_file"}),
    _transform(
        "metadata of the network", "http://169.254.169.254/latest/meta-data/", _BAD | {"refused", "unreadable_file"}
    ),
    _transform("a format that is not written", _VALID, _BAD, format="eps"),
]

_MANY = [
    Case("ten thousand pictures", "find_similar_images", {"images": [_VALID] * 10_000}, _BAD, _NEVER),
    Case(
        "bombs among pictures",
        "find_similar_images",
        {"images": [_VALID, data(files.png_bomb()), _VALID]},
        _DONE,
        _NEVER,
    ),
    Case(
        "bombs only", "find_similar_images", {"images": [data(files.png_bomb())] * 3}, frozenset({"no_image"}), _NEVER
    ),
    Case(
        "a sheet of bombs", "contact_sheet", {"images": [data(files.png_bomb())] * 50}, frozenset({"no_image"}), _NEVER
    ),
    Case(
        "a sheet that is too large",
        "contact_sheet",
        {"images": [_VALID] * 50, "columns": 50, "cell_width": 2_000, "cell_height": 2_000},
        _LIMIT,
        _NEVER,
    ),
    Case("captions of bells", "contact_sheet", {"images": [_VALID], "captions": ["\a\0\u202e" * 60]}, _DONE, _NEVER),
    Case(
        "a snippet that breaks out",
        "responsive_images",
        {
            "image": _VALID,
            "alt": '"><script>x</script>',
            "sizes": "'\"><script>",
            "widths": [10],
        },
        _DONE,
        (*_NEVER, "<script>"),
    ),
    Case("a prefix that breaks out", "responsive_images", {"image": _VALID, "url_prefix": '"><script>'}, _BAD, _NEVER),
    Case("a set of bombs", "responsive_images", {"image": data(files.avif_bomb())}, _LIMIT, _NEVER),
    Case("widths without end", "responsive_images", {"image": _VALID, "widths": [100] * 100}, _BAD, _NEVER),
]

CASES: Final[list[Case]] = [*_BOMBS, *_DISGUISED, *_CUT, *_METADATA, *_ARGUMENTS, *_MANY]
