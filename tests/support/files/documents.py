"""Three real documents: a page of an open-source manual, and the READMEs of two packages.

The READMEs are those of packages in the lock file, so they are always installed.
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
        sentence: a text that the PDF must contain.
        least_pages: a smaller number would mean lost content.
    """

    name: str
    format: Literal["html", "markdown"]
    text: str
    sentence: str
    least_pages: int


def documents() -> list[Document]:
    """The documents, read from this machine; the repository contains no copy of them."""
    page, sentence = _manual_page()
    return [
        Document("manual-page", "html", page.read_text(), sentence, 2),
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
        "needs-manual-page: neither IDLE's help.html nor npm's manual is installed; "
        "to install: sudo apt-get install npm",
        allow_module_level=True,
    )


def _readme(distribution: str) -> str:
    text = metadata.metadata(distribution).get_payload()  # type: ignore[attr-defined]  # the typed protocol hides it
    assert isinstance(text, str)
    assert len(text) > 5000, f"{distribution} ships no README"
    return text
