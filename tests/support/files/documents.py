"""Three real documents that nobody here wrote: a page of an open-source manual, and the READMEs of two packages.

The READMEs are those of packages that the lock file installs, so they are always there.
"""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import pytest

_NPM_PAGE = "npm/docs/output/using-npm/dependency-selectors.html"


@dataclass(frozen=True)
class Document:
    """One document.

    Attributes:
        name: for the ids of tests.
        format: the argument of render_pdf that takes it.
        text: the whole of it.
        says: a sentence that must be found in the PDF.
        least_pages: fewer would mean that something was lost.
    """

    name: str
    format: Literal["html", "markdown"]
    text: str
    says: str
    least_pages: int


def documents() -> list[Document]:
    """The documents, as they lie on this machine; nothing of them is copied into this repository."""
    page, says = _manual_page()
    return [
        Document("manual-page", "html", page.read_text(), says, 2),
        Document("readme-of-rich", "markdown", _readme("rich"), "Rich is a Python library", 3),
        Document("readme-of-pypdfium2", "markdown", _readme("pypdfium2"), "pypdfium2", 3),
    ]


def _manual_page() -> tuple[Path, str]:
    """An HTML page of an open-source manual, and a sentence of it: Python's of IDLE, or else npm's."""
    idle = importlib.util.find_spec("idlelib")
    if idle and idle.origin and (page := Path(idle.origin).with_name("help.html")).exists():
        return page, "IDLE is Python"
    npm = shutil.which("npm")
    if npm and (page := Path(npm).resolve().parents[2] / _NPM_PAGE).exists():
        return page, "selectors"
    pytest.skip(
        "needs-manual-page: neither IDLE's help.html nor npm's manual is installed here", allow_module_level=True
    )


def _readme(distribution: str) -> str:
    text = metadata.metadata(distribution).get_payload()  # type: ignore[attr-defined]  # the typed protocol hides it
    assert isinstance(text, str)
    assert len(text) > 5000, f"{distribution} ships no README"
    return text
