"""Hostile input for server-side request forgery, and cases that fit no other module."""

from __future__ import annotations

from typing import Any, Final

from hostile.cases import Case
from hostile.image_files import data, font_claiming

PORT: Final = ":65531"
"""Placeholder of the canary server's port."""

_REFUSED: Final = frozenset({"refused", "bad_input", "fetch_failed", "unreadable_file"})
_DONE: Final = frozenset({"completed"})

_INWARD: Final = {
    "loopback": f"http://127.0.0.1{PORT}/",
    "loopback by name": f"http://localhost{PORT}/",
    "loopback as one number": f"http://2130706433{PORT}/",
    "loopback in hexadecimal": f"http://0x7f000001{PORT}/",
    "loopback in octal": f"http://0177.0.0.1{PORT}/",
    "loopback cut short": f"http://127.1{PORT}/",
    "loopback of version 6": f"http://[::1]{PORT}/",
    "loopback inside of version 6": f"http://[::ffff:127.0.0.1]{PORT}/",
    "loopback compatible with version 6": f"http://[::127.0.0.1]{PORT}/",
    "loopback behind NAT64": f"http://[64:ff9b::7f00:1]{PORT}/",
    "this host": f"http://0.0.0.0{PORT}/",
    "this host of version 6": f"http://[::]{PORT}/",
    "a user in front": f"http://example.org@127.0.0.1{PORT}/",
    "a NUL in the name": f"http://127.0.0.1%00.example.org{PORT}/",
    "letters that look like digits": f"http://①②⑦.⓪.⓪.①{PORT}/",
    "a backslash": f"http://example.org\\@127.0.0.1{PORT}/",
    "a line end": f"http://127.0.0.1{PORT}/\r\nX: y",
    "the metadata of a cloud": "http://169.254.169.254/latest/meta-data/",
    "a private network": "http://10.0.0.1/",
    "another port": "http://127.0.0.1:6379/",
}
_TAKERS: Final = (("hash_file", "file"), ("transform_image", "image"), ("describe_pdf", "file"))


def _inward() -> list[Case]:
    cases = []
    for number, (name, url) in enumerate(_INWARD.items()):
        kind, argument = _TAKERS[number % len(_TAKERS)]
        cases.append(Case(f"{name}, named", kind, {argument: url}, _REFUSED))
    html = "".join(f"<img src='{url}'><link rel=stylesheet href='{url}'>" for url in _INWARD.values())
    cases.append(Case("every way inward, in a page", "render_pdf", {"html": html, "allow_fetch": True}, _DONE))
    return cases


def _page(name: str, html: str, *forbidden: str, **more: Any) -> Case:
    return Case(name, "render_pdf", {"html": html, **more}, _DONE, forbidden)


CASES: Final[list[Case]] = [
    *_inward(),
    Case("a scheme of old", "hash_file", {"file": f"gopher://127.0.0.1{PORT}/x"}, _REFUSED),
    Case("a URL without a scheme", "transform_image", {"image": f"//127.0.0.1{PORT}/x"}, _REFUSED),
    _page(
        "links that run scripts or open files",
        "<a href='javascript:alert(1)'>a</a> <a href=' JaVaScRiPt:alert(1)'>b</a> <a href='file:///etc/passwd'>c</a> "
        "<a href='vbscript:x'>d</a> <a href='data:text/html,<script>'>e</a>",
        "javascript:",
        "JaVaScRiPt:",
        "file:///",
        "vbscript:",
        "data:text/html",
    ),
    _page(
        "a font that claims sixty thousand tables",
        "<style>@font-face { font-family: f; src: url(f.ttf) } p { font-family: f }</style><p>x",
        assets={"f.ttf": data(font_claiming(), "font/ttf")},
    ),
]
