"""Hostile input of the kinds for existing PDFs."""

from __future__ import annotations

from typing import Any

from hostile import pdf_files as files
from hostile.cases import Case

_REFUSED = frozenset({"bad_input", "not_a_pdf", "damaged_pdf", "limit_exceeded"})
_BROKEN = frozenset({*_REFUSED, "completed"})
_ANY = frozenset({*_BROKEN, "crashed"})
_DONE = frozenset({"completed"})
_UNREADABLE = frozenset({"unreadable_file", "bad_input"})
_LOCKED = frozenset({"wrong_password"})
_PREVIEW, _READ, _DESCRIBE, _EDIT = "preview_pdf", "extract_pdf_text", "describe_pdf", "edit_pdf"


def _looking(name: str, content: bytes, outcome: frozenset[str], forbidden: tuple[str, ...] = ()) -> list[Case]:
    """The same file for each kind that reads one."""
    arguments = {"file": files.data(content)}
    return [
        Case(f"{name}, {kind}", kind, arguments, outcome, (*forbidden, "root:x"))
        for kind in (_PREVIEW, _READ, _DESCRIBE)
    ]


def _edit(what: str, content: bytes, outcome: frozenset[str], *steps: dict[str, Any], **more: Any) -> Case:
    sources = [{"file": files.data(content)}, {"file": files.data(files.PLAIN)}]
    arguments = {"sources": sources, "operations": list(steps), **more}
    return Case(f"{what}, {_EDIT}", _EDIT, arguments, outcome, (files.HOST_FILE, "root:x:0"))


def _everywhere(name: str, content: bytes, outcome: frozenset[str]) -> list[Case]:
    return [*_looking(name, content, outcome), _edit(name, content, outcome, {"op": "merge"}, {"op": "optimise"})]


_PLAIN = {"file": files.data(files.PLAIN)}
_TITLE = {"op": "metadata", "title": "t"}
_GARBAGE = bytes(range(256)) * 40

CASES: list[Case] = [
    *_everywhere("nothing at all", b"", _REFUSED),
    *_everywhere("no PDF", b"<html>%PD</html>", _REFUSED),
    *_everywhere("only a header", b"%PDF-1.7\n", _REFUSED),
    *_everywhere("cut in the middle", files.PLAIN[: len(files.PLAIN) // 2], _BROKEN),
    *_everywhere("a ZIP archive with a PDF inside", b"PK\x03\x04" + bytes(60) + files.PLAIN, _BROKEN),
    *_everywhere("HTML before a PDF", b"<script>alert(1)</script>" + files.PLAIN, _BROKEN),
    *_everywhere("a cross-reference table that refers to itself", files.looping_xref(), _BROKEN),
    *_everywhere("an object stream that holds itself", files.nested_object_streams(), _ANY),
    *_everywhere("a page tree in a circle", files.raw(files.CATALOG, b"<</Type/Pages/Kids[2 0 R]>>"), _REFUSED),
    *_everywhere("a page tree that is no tree", files.raw(files.CATALOG, b"(text)"), _REFUSED),
    *_everywhere("a page tree 5,000 deep", files.deep_pages(5_000), _ANY),
    *_everywhere("200,000 pages that are one", files.many_pages(200_000), _REFUSED),
    *_everywhere("arrays 100,000 deep", files.nested(100_000), _BROKEN),
    *_everywhere("content that decompresses to 300 MB", files.bombed(300 << 20), _ANY),
    *_everywhere("content packed twice that decompresses to 600 MB", files.bombed(600 << 20, 2), _ANY),
    *_everywhere("a picture of JBIG2 garbage", files.with_image(_GARBAGE, b"/JBIG2Decode"), _BROKEN),
    *_everywhere("a picture of JPEG 2000 garbage", files.with_image(_GARBAGE, b"/JPXDecode"), _BROKEN),
    *_everywhere("a hundred gigapixels", files.with_image(b"x", b"/FlateDecode", (316_000, 316_000)), _ANY),
    *_everywhere("a form that draws itself", files.self_drawing(), _ANY),
    *_everywhere("forms that draw the next ten times", files.billion_forms(), _ANY),
    *_everywhere("bookmarks in a circle", files.looping_outline(), _BROKEN),
    *_everywhere("name trees in a circle", files.looping_names(), _BROKEN),
    *_everywhere("20,000 annotations in a chain", files.chained(20_000), _ANY),
    *_everywhere("a page larger than a town", files.sized("0 0 1e9 1e9"), _BROKEN),
    *_everywhere("a page without size", files.sized("0 0 0 0"), _BROKEN),
    *_everywhere("a page whose size is not a number", files.sized("/a (b) [] <<>>"), _BROKEN),
    *_everywhere("an unknown password", files.encrypted(), _LOCKED),
    *_everywhere("scripts everywhere", files.scripted(), frozenset({"completed"})),
    *_looking(
        "metadata that names a file of the machine",
        files.xmp(files.entities(external=True)),
        _DONE,
        ("root:x:0", files.HOST_FILE),
    ),
    *_looking("metadata that decompresses to gigabytes", files.xmp(files.entities(external=False)), _DONE),
    *_looking("a file inside named like a path", files.attached("../../../../etc/cron.d/x"), _DONE),
    _edit("metadata that names a file", files.xmp(files.entities(external=True)), _DONE, _TITLE),
    _edit("metadata that is a bomb", files.xmp(files.entities(external=False)), _DONE, _TITLE),
    _edit("scripts removed", files.scripted(), _DONE, {"op": "sanitise", "links": True, "attachments": True}),
    _edit("a range without end", files.PLAIN, _REFUSED, {"op": "select", "pages": "1-999999999999"}),
    _edit("page zero", files.PLAIN, _REFUSED, {"op": "select", "pages": "0"}),
    _edit("a page before the first", files.PLAIN, _REFUSED, {"op": "rotate", "degrees": 90, "pages": "-9"}),
    _edit("words for pages", files.PLAIN, _REFUSED, {"op": "select", "pages": "1;rm -rf /"}),
    _edit("no page between commas", files.PLAIN, _REFUSED, {"op": "select", "pages": ",,,"}),
    _edit("a page a thousand times", files.PLAIN, _DONE, {"op": "select", "pages": ",".join(["1"] * 900)}),
    _edit("pages that multiply", files.PLAIN, _BROKEN, *[{"op": "select", "pages": ",".join(["all"] * 400)}] * 3),
    _edit("a split into more than allowed", files.PLAIN, _REFUSED, {"op": "split", "ranges": ["1"] * 150}),
    _edit("markup as a stamp", files.PLAIN, _DONE, {"op": "stamp", "text": f"<img src='file://{files.HOST_FILE}'>"}),
    _edit("a stamp of control characters", files.PLAIN, _DONE, {"op": "stamp", "text": "\u202e\0\x07{page}"}),
    _edit("a stamp that is a bomb", files.PLAIN, _BROKEN, {"op": "stamp", "file": files.data(files.bombed(300 << 20))}),
    _edit("a stamp of garbage", files.PLAIN, frozenset({"bad_stamp"}), {"op": "stamp", "file": files.data(_GARBAGE)}),
    _edit(
        "a file named like a path",
        files.PLAIN,
        _DONE,
        {"op": "attach", "files": [{"file": files.data(b"x"), "name": "../../etc/passwd"}]},
        name="../../../etc/cron.d/x",
    ),
    Case("every page at most dots", _PREVIEW, {**_PLAIN, "dpi": 600, "pages": "1," * 49 + "1"}, _BROKEN),
    Case("more pages than drawn", _PREVIEW, {**_PLAIN, "pages": "1," * 50 + "1"}, frozenset({"limit_exceeded"})),
    Case("a range of a billion", _READ, {**_PLAIN, "pages": "1-1000000000"}, _REFUSED),
    Case("an unknown root", _READ, {"file": "root:nowhere/../../etc/passwd"}, _UNREADABLE),
]
