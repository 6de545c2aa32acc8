"""All hostile cases, and the limits they run with."""

from __future__ import annotations

from typing import Final

from hostile import documents, hashing, images, pdf, reaching, search
from hostile.cases import Case

CASES: Final[list[Case]] = [*documents.CASES, *hashing.CASES, *images.CASES, *pdf.CASES, *reaching.CASES, *search.CASES]

LIMITS: Final[dict[str, dict[str, float]]] = {"": {"seconds": 20}, "render_pdf": {"seconds": 20, "memory_mb": 700}}
"""Lower limits by kind (``""``: all others), as in `OFFLOOP_LIMITS`; a case that ends by itself takes 3 s at most."""

LONG: Final[dict[str, float]] = {"seconds": 6}
"""Limits of the cases of `BRIEF` in a run of all tests, in addition to `LIMITS`."""

_HALF: Final[dict[str, float]] = {"seconds": 0.5}
_SMALL: Final[dict[str, float]] = {"memory_mb": 128}
BRIEF: Final[dict[str, dict[str, float]]] = {
    "render_pdf: flex boxes that are to stay as they are": _HALF,
    "render_pdf: columns in columns": _HALF,
    "render_pdf: spans fifty thousand deep": _HALF,
    "render_pdf: lists two thousand deep": _HALF,
    "render_pdf: variables that double forty times": _HALF,
    "render_pdf: a drawing that uses itself a billion times": _HALF,
    "render_pdf: a gradient with a hundred thousand stops": _HALF,
    "render_pdf: ten thousand columns": _HALF,
    "render_pdf: a hundred thousand page breaks": _HALF,
    "render_pdf: a page with no room for anything": _HALF,
    "render_pdf: a hundred thousand style sheets that import themselves": _HALF,
    "render_pdf: a word of two million letters": _HALF,
    "render_pdf: a letter under a hundred thousand accents": _HALF,
    "render_pdf: markup that is never closed": _HALF,
    "render_pdf: ten thousand form fields": _HALF,
    "render_pdf: a hyphenated word without end": _HALF,
    "render_pdf: Markdown of open brackets": _HALF,
    "render_pdf: Markdown tables of a thousand columns": _HALF,
    "render_pdf: a loop in a loop in a loop": _HALF,
    "preview_pdf: a form that draws itself, preview_pdf": _SMALL,
    "preview_pdf: forms that draw the next ten times, preview_pdf": _SMALL,
    "extract_pdf_text: a form that draws itself, extract_pdf_text": _SMALL,
    "extract_pdf_text: forms that draw the next ten times, extract_pdf_text": _SMALL,
    "edit_pdf: content that decompresses to 300 MB, edit_pdf": _HALF,
    "edit_pdf: content packed twice that decompresses to 600 MB, edit_pdf": _HALF,
    "search_text: repetitions in repetitions before a backreference": _HALF,
    "search_text: alternatives of the same letter before a backreference": _HALF,
    "search_text: repetitions in a look-ahead": _HALF,
    "search_text: a repetition of what may be empty": _HALF,
    "search_text: a repetition of what may be empty, three deep": _HALF,
    "search_text: counted repetitions three deep": _HALF,
    "search_text: groups of a long text": _HALF,
    "search_text: a line of a terabyte": _HALF,
}
"""Limits of the cases that use up any limit of time or memory, or come near it; they too meet theirs soon."""
