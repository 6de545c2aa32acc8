"""Pages that are written to cost time and memory, through the program that converts."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SIZE = 200_000


def _much(piece: str, before: str = "", after: str = "") -> str:
    return before + piece * (SIZE // len(piece)) + after


PAGES = {
    "elements in one another": _much("<div>"),
    "lists in one another, many lines": "<ul><li>" * 300 + _much("x<br>"),
    "quotes in one another": _much("<blockquote>x"),
    "formatting that is opened again in each paragraph": _much("<p><b><i><u><s><a href=x>t"),
    "tables in cells": _much("<table><tr><th>x<td>"),
    "cells over everything": _much("<tr><td colspan=1000 rowspan=65534>x<td>y", "<table>"),
    "one wide line and many lines": "<table><tr>" + "<td>x" * 10_000 + "<tr><td>y" * 10_000,
    "a hundred thousand attributes": "<p " + " ".join(f"a{number}" for number in range(100_000)) + ">x",
    "drawings in drawings": _much("<svg><foreignObject>"),
    "code in links in code": _much("<code><a href=x>"),
    "code in code": _much("<code><b><a href=x>y</a>"),
    "choices": _much("<option>x", "<select>"),
    "formulas in formulas": _much("<mfrac><mi>x</mi>", "<math>"),
    "details in details": _much("<details><summary>x"),
    "definitions in definitions": _much("<dl><dd>x"),
    "a set of pictures": _much(",", "<img srcset='", "'>") + _much(" ", "<img srcset='", "'>"),
    "styles": _much("display ", "<p style='", "'>x") + _much("<p style='display :'>x"),
    "addresses": _much("(", "<a href='", "'>x</a>") + _much("\t", "<a href='", "'>x</a>"),
    "pages in pages": _much("<iframe srcdoc='&lt;iframe srcdoc=x>'></iframe>"),
    "shadow trees": _much("<p><template shadowrootmode=open>x<slot></slot></template>", "<div>" * 400),
    "signs of Markdown": _much("*") + _much("~ ") + _much("](") + _much("`") + _much("_ ") + _much("&a"),
    "white space": _much(" ") + _much("\n日") + _much("<br>"),
    "a heading of signs": _much("#", "<h1>x ") + _much("<h1>#"),
    "characters by name": _much("&CounterClockwiseContourIntegra"),
}


@pytest.mark.slow
def test_hostile_pages_end_within_the_memory_of_the_converter() -> None:
    """All of them in one process; it caps its own memory, and would not answer if one took for ever."""
    requests = bytearray()
    for kind, pages in (("html", PAGES), ("xml", {"deep": _much("<a>") + "</a>" * (SIZE // 3)})):
        for source in pages.values():
            for part in (json.dumps({"to": "markdown", "kind": kind, "url": "http://h/"}).encode(), source.encode()):
                requests += len(part).to_bytes(4) + part
    program = [sys.executable, "-m", "offloop_server.io.http.convert"]
    answers = subprocess.run(program, input=bytes(requests), stdout=subprocess.PIPE, check=True, timeout=110).stdout
    parts = []
    while answers:
        length = int.from_bytes(answers[:4])
        parts.append(answers[4 : 4 + length])
        answers = answers[4 + length :]
    assert len(parts) == 2 * (len(PAGES) + 1)
    assert max(map(len, parts)) < 32 << 20
