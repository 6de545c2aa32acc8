"""Hostile input of ``render_pdf``: documents that never end, and documents that try to read files or send requests.

``OUTSIDE`` is the placeholder of a host that must receive no request; ``SECRET`` is text of a file of the machine.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

from hostile.cases import Case
from hostile.compressed import deflated, repeated

OUTSIDE = "http://hostile.offloop.invalid/x"
FILE = "file:///etc/passwd"
SECRET = "root:x:0"  # noqa: S105 -- the beginning of /etc/passwd, which has no passwords

_RENDERED = frozenset({"completed"})
_LIMITED = frozenset({"limit_exceeded", "too_complex", "unrenderable"})
_EITHER = frozenset({*_RENDERED, *_LIMITED})
_TEMPLATE = frozenset({"template_error"})
_STOPPED = frozenset({*_LIMITED, *_TEMPLATE})
_REFUSED = frozenset({"bad_input"})
_MISSING = frozenset({"missing_asset"})


def _data(content: bytes, mime_type: str = "application/octet-stream") -> str:
    return f"data:{mime_type};base64,{base64.b64encode(content).decode()}"


def _png(width: int, height: int) -> bytes:
    """A picture of a large size with a small compressed body."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([1, 0, 0, 0, 0])
    rows = repeated(0, (width // 8 + 1) * min(height, 5_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _html(name: str, html: str, outcome: frozenset[str] = _EITHER, **more: Any) -> Case:
    return Case(name, "render_pdf", {"html": html, **more}, outcome, (SECRET,))


def _template(name: str, template: str, outcome: frozenset[str] = _TEMPLATE, **more: Any) -> Case:
    forbidden = (SECRET, "<class", "subclasses", "os.environ", "<function", "<module")
    return Case(name, "render_pdf", {"template": template, "data": {"x": [1], "s": "t"}, **more}, outcome, forbidden)


def _variables() -> str:
    rules = "--a0: url(x);" + "".join(f"--a{n}: var(--a{n - 1}) var(--a{n - 1});" for n in range(1, 40))
    return f"<style>p {{ {rules} font-family: var(--a39) }}</style><p>x"


def _uses() -> str:
    groups = "".join(f"<g id=g{n}>{f'<use href=#g{n - 1} />' * 10}</g>" for n in range(1, 12))
    return f"<svg width=9 height=9 xmlns='http://www.w3.org/2000/svg'><rect id=g0 width=1 height=1 />{groups}</svg>"


def _entities() -> str:
    lines = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    return (
        f'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY e0 "lol">{lines}<!ENTITY f SYSTEM "{FILE}">]>'
        "<svg xmlns='http://www.w3.org/2000/svg' width='90' height='9'><text y='9'>&e11;&f;</text></svg>"
    )


def _squeezed() -> bytes:
    """A packed drawing that decompresses to 200 MB."""
    start, count = b"<svg xmlns='http://www.w3.org/2000/svg'>", 200 << 20
    packer = zlib.compressobj(9, wbits=-15)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum, mebibyte = zlib.crc32(start), b" " * (1 << 20)
    for _ in range(count >> 20):
        checksum = zlib.crc32(mebibyte, checksum)
    end = struct.pack("<II", checksum, len(start) + count)
    return b"\x1f\x8b\x08" + bytes(7) + head + deflated(ord(" "), count) + end


_SVG = "<svg xmlns='http://www.w3.org/2000/svg' width=9 height=9>"
_BOMBS = [
    _html("flex boxes in flex boxes", "<div style=display:flex>" * 40 + "x"),
    _html("flex boxes that are to stay as they are", "<div style=display:flex>" * 14 + "x", _LIMITED, layout="as_is"),
    _html("grids in grids", "<div style=display:grid>" * 30 + "x" * 200),
    _html("tables in tables", "<table><tr><td>" * 60 + "x"),
    _html("inline blocks in inline blocks", "<span style=display:inline-block>" * 25 + "x"),
    _html("floats in floats", "<div style=float:left>" * 30 + "x"),
    _html("columns in columns", "<div style=columns:2>" * 12 + "<p>x" * 50),
    _html("elements five thousand deep", "<div>" * 5_000 + "x"),
    _html("spans fifty thousand deep", "<b>" * 50_000 + "x"),
    _html("lists two thousand deep", "<ul><li>" * 2_000 + "x"),
    _html(
        "a counter style of a million symbols",
        "<style>@counter-style c { system: additive; additive-symbols: "
        "1 i; } ol { list-style: c } </style><ol start=100000000><li>x</ol>",
    ),
    _html(
        "a counter style that pads to a billion",
        "<style>@counter-style c { system: numeric; symbols: '0' '1'; pad: "
        "1000000000 '0' } ol { list-style: c }</style><ol><li>x</ol>",
    ),
    _html(
        "counter styles that extend each other",
        "<style>@counter-style a { system: extends b } @counter-style b { "
        "system: extends a } ol { list-style: a }</style><ol><li>x</ol>",
    ),
    _html("variables that double forty times", _variables()),
    _html("variables in a circle", "<style>p { --a: var(--b); --b: var(--a); color: var(--a) }</style><p>x"),
    _html("a drawing that uses itself a billion times", _uses()),
    _html("a drawing that contains itself", f"{_SVG}<g id=a><use href=#a /></g></svg>"),
    _html(
        "a pattern that is filled with itself",
        f"{_SVG}<pattern id=p width=1 height=1><rect width=9 height=9 fill=url(#p) /></pattern>"
        "<rect width=9 height=9 fill=url(#p) /></svg>",
    ),
    _html(
        "a mask that masks itself",
        f"{_SVG}<mask id=m><rect width=9 height=9 mask=url(#m) /></mask><rect width=9 height=9 mask=url(#m) /></svg>",
    ),
    _html("a path of a million points", f"{_SVG}<path d='M0 0{'L1 1' * 300_000}'/></svg>"),
    _html("a drawing a million wide", "<svg width=1000000000 height=1000000000><circle r=5 /></svg>"),
    _html(
        "a gradient with a hundred thousand stops",
        f"<p style='background: linear-gradient({','.join(['red', 'blue'] * 50_000)})'>x",
    ),
    _html(
        "a gradient repeated every hair's breadth",
        "<p style='height: 9999px; background: repeating-radial-gradient(red 0, blue 0.0001px)'>x",
    ),
    _html(
        "a background repeated every pixel",
        "<body style='height: 9999px; background: url(\"data:image/svg+xml,<svg xmlns=%22http://www.w3.org/2000/svg%22"
        " width=%220.01%22 height=%220.01%22><circle r=%221%22/></svg>\")'>x",
    ),
    _html("a cell over a billion columns", "<table><tr><td colspan=1000000000>x<td>y</table>"),
    _html("cells over a billion rows", "<table>" + "<tr><td rowspan=1000000000>x" * 200 + "</table>"),
    _html("ten thousand columns", "<table><tr>" + "<td>x" * 10_000 + "</table>"),
    _html("a letter a kilometre high", "<p style='font-size: 9999999999px'>x"),
    _html("a letter of infinite height", "<p style='font-size: calc(1px / 0)'>x<p style='font-size: 1e400px'>y"),
    _html("a hundred thousand page breaks", "<p style=break-after:page>x" * 60_000, _LIMITED),
    _html("a page with no room for anything", "<style>@page { size: 1px; margin: 0 }</style>" + "<p>words " * 3_000),
    _html("margins larger than the paper", "<p>words " * 50, margin="9999mm"),
    _html("a page the size of a country", "<style>@page { size: 99999999mm }</style><p>x"),
    _html("a box of infinite height", "<div style='height: 99999999999px; background: red'>x</div>"),
    _html("a billion columns of text", "<div style='columns: 1000000000'>words</div>"),
    _html("a leader without end", "<style>p::before { content: leader('') leader('\\200b') 'x' }</style><p>x"),
    _html("footnotes in footnotes", "<style>b { float: footnote }</style>" + "<b>x" * 300),
    _html(
        "a selector that matches everything with everything",
        "<style>"
        + ":is(" * 400
        + "p"
        + ")" * 400
        + "{ color: red } "
        + "* ~ * ~ * ~ * ~ * ~ i { color: red }</style>"
        + "<p>x" * 2_000,
    ),
    _html(
        "a hundred thousand style sheets that import themselves",
        "<style>@import 'a.css'; p {}</style><p>x",
        assets={
            "a.css": _data(b"@import 'a.css'; @import 'b.css';", "text/css"),
            "b.css": _data(b"@import 'a.css'; @import 'a.css';", "text/css"),
        },
    ),
    _html("an attribute of two million letters", f"<p class='{'x' * 1_900_000}' title='{'y' * 1_000}'>x"),
    _html("a word of two million letters", "x" * 1_900_000),
    _html("two million ways to write left and right", "\u202e\u202d\u2066" * 100_000 + "x"),
    _html("a letter under a hundred thousand accents", "a" + "\u0301" * 100_000),
    _html("bytes that are no text", "\0\x01\ufffe\uffff\U0010ffff" * 100 + "<p\0>\0x</p\0>"),
    _html("markup that is never closed", "<" * 200_000 + "<!--" * 1_000 + "<![CDATA[" + "<table><svg><math>" * 300),
    _html("ten thousand form fields", "<form>" + "<input value=x><select><option>a</select>" * 5_000, forms=True),
    _html(
        "a hyphenated word without end", "<p lang=en style='hyphens: auto; width: 1px'>" + "incomprehensible" * 3_000
    ),
    Case("Markdown of nothing but quotes", "render_pdf", {"markdown": ">" * 20_000 + "x"}, _EITHER),
    Case("Markdown of open brackets", "render_pdf", {"markdown": "[" * 50_000 + "](" * 50_000}, _EITHER),
    Case(
        "Markdown tables of a thousand columns",
        "render_pdf",
        {"markdown": "|a" * 2_000 + "|\n" + "|-" * 2_000 + "|\n" + "|x|\n" * 500},
        _EITHER,
    ),
    Case(
        "Markdown with code in a language that is a path",
        "render_pdf",
        {"markdown": "```../../etc/passwd\nx\n```\n```" + "x" * 10_000 + "\n```"},
        _RENDERED,
        (SECRET,),
    ),
]
_PICTURES = [
    _html("a picture of a terapixel", f"<img src='{_data(_png(1_000_000, 1_000_000))}'>", _RENDERED),
    _html("a picture that decompresses to 400 megapixels", f"<img src='{_data(_png(20_000, 20_000))}'>", _RENDERED),
    _html(
        "a packed drawing that decompresses to 200 MB",
        "<img src=a.svgz>",
        assets={"a.svgz": _data(_squeezed(), "image/svg+xml")},
    ),
    _html(
        "XML entities that expand a billion times",
        "<img src=a.svg>",
        assets={"a.svg": _data(_entities().encode(), "image/svg+xml")},
    ),
    _html(
        "a document inside a document inside a picture",
        f"<img src='{_data(b'<html><script>x</script><iframe src=/etc/passwd>', 'text/html')}'>"
        f"<iframe src='data:text/html,<img src={FILE}>'></iframe><object data='data:text/html,<p>x'></object>",
    ),
    _html(
        "a drawing in a drawing in a drawing",
        "<img src=a.svg>",
        assets={
            "a.svg": _data(
                b"<svg xmlns='http://www.w3.org/2000/svg'><image href='a.svg' width='9' height='9'/></svg>",
                "image/svg+xml",
            )
        },
    ),
    _html(
        "a font that is none",
        "<style>@font-face { font-family: f; src: url(f.ttf) } p { font: 9pt f }</style><p>x",
        assets={"f.ttf": _data(b"\0\1\0\0\xff\xff" + b"\xff" * 5_000, "font/ttf")},
    ),
    _html(
        "a colour profile that is none",
        "<style>@color-profile device-cmyk { src: url(p.icc) } p { color: device-cmyk(0 1 1 0) }</style><p>x",
        assets={"p.icc": _data(b"x" * 500)},
        pdf_variant="pdf/x-4",
    ),
    _html(
        "PostScript that calls itself a PNG",
        f"<img src='{_data(b'%!PS-Adobe-3.0 EPSF-3.0' + bytes(10) + b'(%pipe%id) (r) file', 'image/png')}'>",
    ),
]
_REFERENCES = [
    "<img src='{0}'>",
    "<img srcset='{0} 2x' src=x>",
    "<picture><source srcset='{0}'><img src='{0}'></picture>",
    "<link rel=stylesheet href='{0}'>",
    "<link rel=attachment href='{0}'>",
    "<link rel=icon href='{0}'><meta http-equiv=refresh content='0;url={0}'>",
    "<a rel=attachment href='{0}'>x</a>",
    "<a href='{0}'>x</a>",
    "<a href='java\tscript:fetch(\"{0}\")'>x</a><script>fetch('{0}')</script>",
    "<style>@import url('{0}');</style>x",
    "<style>@import '{0}' screen, print;</style>x",
    "<style>@font-face {{ font-family: f; src: url('{0}') }} p {{ font-family: f }}</style><p>x",
    "<style>@font-face {{ font-family: f; src: local('Sans'), local('{0}') }} p {{ font-family: f }}</style><p>x",
    "<style>@page {{ background: url('{0}'); @top-left {{ content: url('{0}') }} }}</style>x",
    "<style>p {{ background: url('{0}'); cursor: url('{0}'); border-image: url('{0}') 1 }}</style><p>x",
    "<style>p::before {{ content: url('{0}') attr(title url) }}</style><p title='{0}'>x",
    "<style>li {{ list-style: url('{0}') }}</style><ul><li>x</ul>",
    "<p style='--u: url({0}); background: var(--u)'>x",
    "<object data='{0}'></object><embed src='{0}'><iframe src='{0}'></iframe><video src='{0}' poster='{0}'></video>",
    "<svg width=9 height=9><image href='{0}' width=9 height=9 /><use href='{0}#x'/><script href='{0}'/></svg>",
    "<svg width=9 height=9><style>@import url('{0}'); rect {{ fill: url({0}#a) }}</style><rect /></svg>",
    "<svg width=9 height=9><foreignObject><img src='{0}'></foreignObject><feImage href='{0}'/></svg>",
    "<base href='{0}'><img src='{0}'><form action='{0}'><input type=image src='{0}'></form>",
    "<body background='{0}'><table background='{0}'><tr><td background='{0}'>x</table>",
]
_REACHING = [
    _html(f"{target} in {markup[:60]!r}", markup.format(url), _RENDERED)
    for markup in _REFERENCES
    for target, url in (("a file of the worker", FILE), ("an address", OUTSIDE))
]
_REACHING += [
    _html(f"a colour profile at {url}", f"<style>@color-profile device-cmyk {{ src: url('{url}') }}</style>x", _MISSING)
    for url in (FILE, OUTSIDE)
]
_ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ lipsum.__globals__['os'] }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ ''|attr('__class__')|attr('__mro__') }}",
    "{{ ['{0.__class__.__mro__}']|map('format', 1)|list }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(x) }}",
    "{{ ('{0.__class__}'|attr('format'))(x) }}",
    "{{ s.format_map.__self__ }}",
    "{{ (x|map(attribute='__class__')|list)[0].mro() }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ x.append(2) }}{{ x }}",
    "{{ range.__self__ }}",
    "{{ ().__reduce_ex__(2) }}",
    "{% import os %}",
    "{% include '/etc/passwd' %}",
    "{% include '../../../../etc/passwd' %}",
    "{% extends 'file:///etc/passwd' %}",
    "{{ caller.__closure__ }}",
    "{{ g.gi_frame.f_globals }}",
    "{{ url_for.__globals__ }}{{ config }}{{ request }}",
]
_TEMPLATES = [
    *(_template(f"a template that evaluates {text[:50]!r}", text) for text in _ESCAPES),
    _template(
        "a loop in a loop in a loop",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}"
        "{% endfor %}",
        _STOPPED,
    ),
    _template(
        "a loop that writes without end",
        "{% for a in range(99999) %}{% for b in range(99999) %}xxxxxxxxxxxxxxxx{% endfor %}{% endfor %}",
        _STOPPED,
    ),
    _template("a range of a billion", "{{ range(1000000000)|list }}"),
    _template("a text repeated a billion times", "{{ 'x' * 1000000000 }}"),
    _template("a text filled up to ten billion", "{{ 'x'.center(10000000000) }}", _STOPPED),
    _template("a number filled up to a billion", "{{ '%1000000000d' % 1 }}", _STOPPED),
    _template("a power tower", "{{ 9 ** 9999 ** 9999 }}{{ 2 ** 100000 ** 9 }}"),
    _template("a macro that calls itself", "{% macro a() %}{{ a() }}{{ a() }}{% endmacro %}{{ a() }}", _STOPPED),
    _template(
        "a template that includes itself",
        "{% include 'a' %}",
        _STOPPED,
        assets={"a": _data(b"{% include 'a' %}{% include 'a' %}", "text/plain")},
    ),
    _template("brackets ten thousand deep", "{{ " + "(" * 10_000 + "1" + ")" * 10_000 + " }}", _STOPPED),
    _template("blocks two thousand deep", "{% if 1 %}" * 2_000 + "x" + "{% endif %}" * 2_000, _STOPPED),
    _template(
        "a regular trap of spaces",
        "{{ s|wordwrap(1) }}{{ (' ' * 900000)|striptags|urlize }}",
        frozenset({*_STOPPED, *_RENDERED}),
    ),
    _template(
        "a template that is no text",
        "{% include 'a' %}",
        frozenset({"unreadable_file"}),
        assets={"a": _data(bytes(range(256)) * 4)},
    ),
    _template(
        "data that is markup",
        "<p>{{ m }}</p>",
        _RENDERED,
        data={"m": f"<img src='{FILE}'><script>x</script>{{{{ ''.__class__ }}}}"},
    ),
]
_ARGUMENTS = [
    _html(
        "a header that ends its string",
        "<p>x",
        _RENDERED,
        header={"left": f"\"; }} @import url('{FILE}'); \\", "right": "\n\0*/ </style><script>"},
    ),
    _html(
        "a title that ends its string",
        f"<title>\"; }} @import '{FILE}'; </title><p>x",
        _RENDERED,
        footer={"center": "{title}"},
    ),
    _html(
        "a style sheet that ends its element",
        "<p>x",
        _RENDERED,
        css=f"p {{ color: red }} </style><img src='{FILE}'><style> @import '{FILE}';",
    ),
    _html("a language that is markup", "<p>x", _REFUSED, language="en'><script>"),
    _html("a paper that is CSS", "<p>x", _REFUSED, page_size="A4; } @import 'x"),
    _html("a margin that is CSS", "<p>x", _REFUSED, margin="1mm; background: url(x)"),
    _html("an attachment that is a path", "<p>x", _REFUSED, attachments=[{"file": "/etc/passwd", "name": "x"}]),
    _html(
        "an attachment named like a path",
        "<p>x",
        _RENDERED,
        attachments=[{"file": _data(b"x"), "name": "../../../etc/cron.d/x\r\nSet-Cookie: x"}],
    ),
    _html(
        "metadata that is XML",
        "<p>x",
        _RENDERED,
        title="]]></x:xmpmeta><!DOCTYPE x>",
        author="<a>&b;\0",
        keywords=["<!ENTITY x>"],
        pdf_variant="pdf/a-3b",
    ),
    Case(
        "data nested a thousand deep",
        "render_pdf",
        {"template": "{{ d }}", "data": {"d": json.loads("[" * 900 + "]" * 900)}},
        frozenset({*_STOPPED, *_REFUSED, *_RENDERED}),
    ),
]

CASES: list[Case] = [*_BOMBS, *_PICTURES, *_REACHING, *_TEMPLATES, *_ARGUMENTS]
