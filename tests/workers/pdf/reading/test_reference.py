"""Text and descriptions beside those of Poppler, another reader of PDFs."""

from __future__ import annotations

import subprocess
import warnings
from pathlib import Path
from typing import Any, get_args

import pikepdf
import pytest

from offloop.jobs import edits
from offloop_workers.pdf.describe import describe
from offloop_workers.pdf.editing.document import permissions
from offloop_workers.pdf.reading.text import read
from support.files import pdfs
from support.programs import needs

TABLE = "<table style='width: 100%'><tr><td>Item<td>Qty<td>Sum<tr><td>Tea<td>2<td>5.00<tr><td>Cake<td>10<td>40.00"
SOURCE = pdfs.written("Alpha", 2, extra=f"{TABLE}</table><p lang=de>Straße, naïve, ﬁne")


def _poppler(program: str, source: bytes, folder: Path, *options: str) -> str:
    needs("poppler-utils", program)
    file = folder / "poppler.pdf"
    file.write_bytes(source)
    target = ["-"] if program == "pdftotext" else []
    done = subprocess.run(
        [program, *options, str(file), *target], capture_output=True, check=True, text=True, timeout=60
    )
    return done.stdout


def _turned(degrees: int) -> bytes:
    def turn(pdf: pikepdf.Pdf) -> None:
        for page in pdf.pages:
            page.rotation = degrees

    return pdfs.saved(turn, SOURCE)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("layout", [False, True])
def test_text_has_the_same_lines(tmp_path: Path, degrees: int, *, layout: bool) -> None:
    """But for the width of gaps, and ligatures, which PDFium writes out."""
    source = _turned(degrees)
    run = pdfs.runner(read, pdfs.context_in(tmp_path), tmp_path)
    ours = [" ".join(line.split()) for one in run(source, layout=layout).texts for line in one.text.split("\n")]
    theirs = _poppler("pdftotext", source, tmp_path, *(["-layout"] if layout else []))
    lines = [" ".join(line.split()) for line in theirs.replace("\f", "\n").replace("ﬁ", "fi").split("\n")]
    if layout:
        assert [line for line in ours if line] == [line for line in lines if line]
    else:
        assert sorted(" ".join(ours).split()) == sorted(" ".join(lines).split())


@pytest.mark.parametrize(
    ("revision", "options", "algorithm"),
    [
        (2, {"aes": False, "metadata": False}, "RC4"),
        (3, {"aes": False, "metadata": False}, "RC4"),
        (4, {"aes": True}, "AES"),
        (6, {}, "AES-256"),
    ],
)
def test_encryption_and_rights_have_the_same_names(
    tmp_path: Path, revision: Any, options: dict[str, Any], algorithm: str
) -> None:
    run = pdfs.runner(describe, pdfs.context_in(tmp_path), tmp_path)
    every = get_args(edits.Permission)
    for denied in every:
        allow = permissions([right for right in every if right != denied])
        lock = pikepdf.Encryption(user="", owner="owner", R=revision, allow=allow, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old methods are deprecated
            source = pdfs.saved(lambda _pdf: None, SOURCE, encryption=lock)
        line = next(one for one in _poppler("pdfinfo", source, tmp_path).split("\n") if one.startswith("Encrypted"))
        found = run(source).security
        assert f"algorithm:{algorithm})" in line
        assert found.method.startswith(algorithm.lower()[:3]), found.method
        for theirs, ours in {"print": "print", "copy": "copy", "change": "modify", "addNotes": "annotate"}.items():
            assert (f"{theirs}:no" in line) == (ours in found.denied), (denied, line, found.denied)
