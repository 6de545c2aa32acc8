"""Headers and footers: lines of plain text in the margins of a page, as CSS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from offloop.jobs.pdf import PLACEHOLDERS, Band

LOOKS: Final = (
    'font: 8pt "Source Sans 3", sans-serif; color: #6b7280; font-variant-numeric: tabular-nums; white-space: pre-line;'
)
_COUNTERS: Final = {"page": "counter(page)", "pages": "counter(pages)"}
_PARTS = re.compile(r"\{(" + "|".join(PLACEHOLDERS) + r")\}")
# Everything but letters and digits, so that no text can end its string.
_UNSAFE = re.compile(r"[^\w]", re.ASCII)


def rules(edge: str, band: Band, values: Mapping[str, str]) -> str:
    """Margin boxes for one edge of the page, ``top`` or ``bottom``; what the document has there is replaced.

    Args:
        edge: which edge.
        band: the texts.
        values: what ``title`` and ``date`` stand for.
    """
    slots = ("left", "center", "right")
    return "".join(f"@{edge}-{slot} {{ {_content(getattr(band, slot), values)} {LOOKS} }}" for slot in slots)


def _content(text: str, values: Mapping[str, str]) -> str:
    if not text:
        return "content: none;"
    parts = _PARTS.split(text)
    # split() alternates: text, name of a placeholder, text, …
    shown = [
        (_COUNTERS.get(part) or quoted(values.get(part, ""))) if number % 2 else quoted(part)
        for number, part in enumerate(parts)
    ]
    return f"content: {' '.join(shown)};"


def quoted(text: str) -> str:
    """Text as a CSS string."""
    return '"' + _UNSAFE.sub(lambda found: f"\\{ord(found[0]):x} ", text.replace("\0", "")) + '"'
