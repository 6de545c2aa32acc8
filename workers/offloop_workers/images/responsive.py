"""Responsive sets (responsive_images): one picture in all the widths and formats of a page."""

from __future__ import annotations

import html
import io
from math import ceil
from urllib.parse import quote

from PIL import Image

from offloop.jobs.images import Responsive, ResponsiveSet, Variant, responsive_images
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop_workers.images.codecs import encoding, formats
from offloop_workers.images.codecs.saving import Result
from offloop_workers.raster import depth, frames, orientation, reading
from offloop_workers.raster.upright import upright


@performs(responsive_images)
def make_set(request: ResponsiveSet, context: Context) -> Responsive:
    """Decode once, at the largest width, and scale every file from that copy.

    Raises:
        LimitExceeded: the source has too many pixels.
        JobError: it is not an accepted picture, or damaged.
    """
    with reading.opened(request.image, context) as source, reading.decoding():
        frames.warn_of_others(source, context)
        depth.warn_of_lost_bits(source.bits, context)
        found = orientation.read(source.picture, context)
        size = found.upright_size
        widths = _widths(request.widths, size[0], context)
        large = upright(source, found, (widths[-1], ceil(widths[-1] * size[1] / size[0])), context)
    stem = request.name or formats.stem_of(request.image)
    wanted = list(dict.fromkeys(request.formats))
    variants: list[Variant] = []
    for number, (form, width) in enumerate((form, width) for form in wanted for width in widths):
        context.progress(number, len(wanted) * len(widths), f"{form} {width}")
        scaled = encoding.fitted(_at(large, width, size), form, request.background, context)
        name = f"{stem}-{width}{formats.TRAITS[form].extensions[0]}"
        with context.create(name, formats.MIME_TYPES[form]) as out:
            encoding.write(Result([scaled], form, request), out, context)
            length = out.seek(0, io.SEEK_END)
        variants.append(Variant(name=name, format=form, width=scaled.width, height=scaled.height, size=length))
    srcset: dict[str, str] = {
        form: ", ".join(f"{_url(request, variant)} {variant.width}w" for variant in variants if variant.format == form)
        for form in wanted
    }
    return Responsive(variants=variants, srcset=srcset, html=_snippet(request, variants, srcset))


def _widths(asked: list[int], source: int, context: Context) -> list[int]:
    """The requested widths in ascending order; those above the source's are replaced by its own."""
    kept = sorted({width for width in asked if width <= source})
    if left := sorted({width for width in asked if width > source}):
        kept = sorted({*kept, source})
        context.warn(
            f"The source is {source:,} pixels wide: {', '.join(map(str, left))} would enlarge it; "
            f"{source} was made instead."
        )
    return kept


def _at(large: Image.Image, width: int, size: tuple[int, int]) -> Image.Image:
    height = max(1, round(width * size[1] / size[0]))
    if (width, height) == large.size:
        return large.copy()
    return large.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)


def _url(request: ResponsiveSet, variant: Variant) -> str:
    return request.url_prefix + quote(variant.name)


def _snippet(request: ResponsiveSet, variants: list[Variant], srcset: dict[str, str]) -> str:
    def quoted(text: str) -> str:
        return html.escape(text, quote=True)

    *sources, last = srcset
    largest = max((variant for variant in variants if variant.format == last), key=lambda variant: variant.width)
    sizes = quoted(request.sizes)
    lines = [
        f'  <source type="{formats.MIME_TYPES[form]}" srcset="{quoted(srcset[form])}" sizes="{sizes}">'
        for form in sources
    ]
    lines.append(
        f'  <img src="{quoted(_url(request, largest))}" srcset="{quoted(srcset[last])}" sizes="{sizes}" '
        f'width="{largest.width}" height="{largest.height}" alt="{quoted(request.alt)}" loading="lazy">'
    )
    return "\n".join(["<picture>", *lines, "</picture>"])
