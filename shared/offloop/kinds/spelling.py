"""Spellings of one name: ``SHA-256`` and ``sha256``, ``jpg`` and ``jpeg``, ``grayscale`` and ``greyscale``."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_VARIANTS: Final = (
    (r"colour", "color"),
    (r"grey", "gray"),
    (r"centre", "center"),
    (r"(?<=[a-z]{3})is(e|ed|ing|ation)$", r"iz\1"),  # sanitise, optimise, linearise
    (r"^optimise", "optimize"),
    (r"^image(?=(jpe?g|png|webp|avif|gif|tiff|bmp)$)", ""),  # media types
    (r"^jpg$", "jpeg"),
    (r"^tif$", "tiff"),
    (r"^md$", "markdown"),
    (r"^pixels?$", "px"),
    (r"^sha2(?=224$|256$|384$|512$)", "sha"),  # as OpenSSL 3 prints them
    (r"^xxh128$", "xxh3128"),  # xxh64 is an algorithm of its own
    (r"^blake2b512$", "blake2b"),
    (r"^blake2s256$", "blake2s"),
)
_SEPARATORS: Final = re.compile(r"[\s_./:'\"\u2010-\u2015-]")
"""Between the parts of a name, and quotes around it. Other punctuation is part of the text: ``A4;`` is not ``A4``."""
_MAX: Final = 80
"""Characters of the longest text that is compared: no name is longer."""


def canonical(text: str) -> str:
    """The text without case, separators, and differences of British and American spelling."""
    folded = unicodedata.normalize("NFKC", text[:_MAX]).casefold()
    found = "percent" if folded.strip() == "%" else _SEPARATORS.sub("", folded)
    for pattern, replacement in _VARIANTS:
        found = re.sub(pattern, replacement, found)
    return found


def match(text: str, names: Iterable[str]) -> str | None:
    """The only name that the text is a spelling of, or None.

    ``-90`` is no spelling of ``90``: a sign is not a separator.
    """
    if len(text) > _MAX or text.strip()[:1] in {"-", "+"}:
        return None
    wanted = canonical(text)
    found = [name for name in names if canonical(name) == wanted] if wanted else []
    return found[0] if len(found) == 1 else None
