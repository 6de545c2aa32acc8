"""All hostile cases, and the limits they run with."""

from __future__ import annotations

from typing import Final

from hostile import documents, hashing, images, pdf, reaching
from hostile.cases import Case

CASES: Final[list[Case]] = [*documents.CASES, *hashing.CASES, *images.CASES, *pdf.CASES, *reaching.CASES]

LIMITS: Final[dict[str, dict[str, float]]] = {"": {"seconds": 20}, "render_pdf": {"seconds": 6, "memory_mb": 700}}
"""Lower limits by kind (``""``: all others), as in `OFFLOOP_LIMITS`, so that endless jobs end within the tests."""
