"""What the standards ask of a finished PDF and WeasyPrint leaves undone; found with validators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from offloop.jobs.pdf import Variant
from offloop.kinds.context import Context
from offloop_workers.pdf.rendering import tagging


def finisher(variant: Variant | None, context: Context) -> Callable[[Any, Any], None]:
    """The function that WeasyPrint calls with the document and the PDF before it is written."""

    def finish(_document: Any, pdf: Any) -> None:
        tagging.repair(pdf)
        if not (variant or "").startswith("pdf/a-"):
            return
        _with_plain_metadata(pdf)
        _without_interpolation(pdf)
        _each_file_once(pdf)
        if variant and variant in {"pdf/a-1a", "pdf/a-1b"}:
            _without_transparency(pdf, variant, context)

    return finish


def _streams(pdf: Any) -> Iterator[dict[str, Any]]:
    return (found.extra for found in pdf.objects if isinstance(getattr(found, "extra", None), dict))


def _with_plain_metadata(pdf: Any) -> None:
    """What a file says of itself is to be found without unpacking anything."""
    for found in pdf.objects:
        if getattr(found, "extra", {}).get("Type") == "/Metadata":
            found.compress = False


def _without_interpolation(pdf: Any) -> None:
    """No part of PDF/A lets a reader smooth pictures."""
    for extra in _streams(pdf):
        if "Interpolate" in extra:
            extra["Interpolate"] = "false"


def _each_file_once(pdf: Any) -> None:
    if files := pdf.catalog.get("AF"):
        files[:] = dict.fromkeys(files)


def _without_transparency(pdf: Any, variant: str, context: Context) -> None:
    """The first part forbids it; WeasyPrint announces it for every drawing, whether there is any or not."""
    if any("SMask" in extra for extra in _streams(pdf)) or any(map(_is_translucent, _states(pdf))):
        context.warn(
            f"{variant} allows no transparency, but the document has opacity or pictures with an alpha channel: remove "
            "them, or use pdf/a-2b."
        )
        return
    for extra in _streams(pdf):
        extra.pop("Group", None)


def _states(pdf: Any) -> Iterator[dict[str, Any]]:
    for found in pdf.objects:
        if isinstance(found, dict) and isinstance(found.get("ExtGState"), dict):
            yield from found["ExtGState"].values()


def _is_translucent(state: dict[str, Any]) -> bool:
    return "SMask" in state or any(float(state.get(name, 1)) < 1 for name in ("ca", "CA"))
