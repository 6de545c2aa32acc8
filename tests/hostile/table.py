"""All hostile cases, and what an operator allows them."""

from __future__ import annotations

from typing import Final

from hostile import documents, hashing, images, pdf, reaching
from hostile.cases import Case

CASES: Final[list[Case]] = [*documents.CASES, *hashing.CASES, *images.CASES, *pdf.CASES, *reaching.CASES]

LIMITS: Final[dict[str, dict[str, float]]] = {"": {"seconds": 20}, "render_pdf": {"seconds": 6, "memory_mb": 700}}
"""What `OFFLOOP_LIMITS` would say, by kind (``""``: all others), so that what never ends does so within the tests."""
