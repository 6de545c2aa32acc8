"""Markup and links of documents: what strangers write must not run, load or lead elsewhere."""

from __future__ import annotations

import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pikepdf
import tinycss2  # type: ignore[import-untyped]
from hypothesis import example, given
from hypothesis import strategies as st
from weasyprint.urls import URLFetcherResponse

from offloop.errors import JobError
from offloop.testing.context import context
from offloop_workers.pdf.editing import safety
from offloop_workers.pdf.rendering import links, styles
from offloop_workers.pdf.rendering.fetcher import BASE, JobFetcher, Refused
from offloop_workers.pdf.rendering.source import templates
from offloop_workers.pdf.rendering.source.rawhtml import ATTRIBUTES, KEPT, Filter
from support.fuzzing import check_refusal, costly

_html = st.one_of(
    st.lists(
        st.sampled_from(
            ["<b>", "</b>", "<script>", "</script>", "<SCRIPT/x>", "<img src=x onerror=alert(1)>",
             "<a href='javascript:x'>", "<style>", "<!--", "-->",
             "<![CDATA[", "]]>", "<![x", "<?php", "<svg/onload=x>", "<iframe srcdoc=x>", "<textarea>",
             "</textarea>", "<title>", "<", ">", "\0", "&lt;", "&#60;script&#62;",
             '"', "'", "<p title='\"><script>'>", "<br/>", "</script >", "<script", "text", "<xmp>", "<plaintext>",
             "<object data=x>", "<base href=x>", "&", "\n"]
        ), max_size=8,
    ).map("".join),
    st.text(max_size=30),
)  # fmt: skip


class Elements(HTMLParser):
    """Names of elements and attributes in HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@given(st.lists(_html, min_size=1, max_size=3))
@example(["<script>", "alert(1)"])
@example(["<div>\n<![iftext<p>\n</div>"])
def test_raw_html_keeps_allowed_elements_only(pieces: list[str]) -> None:
    cleaner = Filter()
    found = Elements("".join(map(cleaner.clean, pieces)))
    assert found.tags <= KEPT
    assert found.attributes <= ATTRIBUTES


_blanks = st.text(st.sampled_from("\t\r\n"), max_size=60)
_schemes = st.sampled_from(["javascript", "vbscript", "data", "file"])


def _disguised(scheme: str, blanks: list[str], lead: str) -> str:
    letters = [letter.upper() if len(blank) % 2 else letter for letter, blank in zip(scheme, blanks, strict=False)]
    return lead + "".join(letter + blank for letter, blank in zip(letters, blanks, strict=False)) + ":x"


disguised = st.builds(
    _disguised,
    _schemes,
    st.lists(_blanks, min_size=10, max_size=10),
    st.text(st.sampled_from("\x00\x01\t\n \x20"), max_size=5),
)


@given(disguised)
@example("java" + "\n" * 50 + "script:x")
def test_no_disguise_of_an_active_scheme_passes_for_a_web_link(target: str) -> None:
    action = pikepdf.Dictionary(S=pikepdf.Name.URI, URI=pikepdf.String(target))
    assert safety._type(action) in safety.ACTIVE
    with tempfile.TemporaryDirectory() as folder:
        root = ET.Element("html")
        ET.SubElement(root, "a", href=target)
        links.settle(root, context(Path(folder)))
        assert root.find("a") is not None
        assert not root.find("a").get("href")  # type: ignore[union-attr]


_urls = st.one_of(
    disguised,
    st.lists(st.sampled_from(["//", "[", "]", "http:", "a", "/", "..", "?", "#", ":", "@", "é", "\n", " ", "℀",
    "https://x/", "mailto:", BASE])).map("".join),
    st.text(max_size=20),
)  # fmt: skip


@given(_urls, st.one_of(st.just(""), _urls))
@example("//℀", "https://example.org/")
@example("//[", "https://example.org/")
@example("x", "https://[::1")
def test_links_of_any_document_are_settled(target: str, base: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = ET.Element("html")
        head = ET.SubElement(root, "head")
        if base:
            ET.SubElement(head, "base", href=base)
        ET.SubElement(root, "a", href=target)
        links.settle(root, context(Path(folder)))
        left = (root.find("a").get("href") or "").strip(links._BLANKS)  # type: ignore[union-attr]
        assert not left or left.startswith("#") or links._scheme(left) in links.KEPT


@given(_urls, _urls, st.one_of(st.just(""), st.just("https://example.org/a/")))
@example("x", "//[", "https://example.org/")
@example(BASE + "//[", "a", "")
@example("data:x", "", "")
@example("data:image/png;base64,x", "", "")
def test_a_document_loads_assets_only(asked: str, named: str, base: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for allow in (False, True):
            fetcher = JobFetcher({named: "data:text/plain,x"}, context(Path(folder)), allow_fetch=allow)  # type: ignore[dict-item]
            fetcher.base = base
            fetcher.serves(asked)
            fetcher.text(asked)
            try:
                found = fetcher.fetch(asked)
            except (Refused, JobError):
                continue
            assert isinstance(found, URLFetcherResponse)


@given(st.text(max_size=60), st.text(max_size=20))
@example('"} * { background: url(file:///x) } /*', "{title}")
@example("\\", "\n")
def test_texts_of_headers_stay_strings_in_css(text: str, title: str) -> None:
    css = f"@page {{ {styles._content(text, {'title': title, 'date': title})} }}"
    (rule,) = tinycss2.parse_stylesheet(css)
    (declaration,) = tinycss2.parse_blocks_contents(rule.content, skip_whitespace=True)
    assert declaration.name == "content"
    assert {token.type for token in declaration.value} <= {"string", "whitespace", "function", "ident"}
    assert not any(token.type == "function" and token.name != "counter" for token in declaration.value)


_template = st.one_of(
    st.lists(
        st.sampled_from(
            ["{{", "}}", "{%", "%}", "{#", "#}", " x ", "for a in x", "endfor", "if x", "endif", "x.__class__",
             "().__class__.__mro__", "|date", "|number(99)",
             "'2026-99-99'", "'٢٠٢٦-01-01'", "include 'x'", "range(9)", "'a' * 99", "|markdown", "1/0",
             "set y = 1", "macro m()", "endmacro", "extends 'x'", "|e", "-"]
        ), max_size=10,
    ).map("".join),
    st.text(max_size=20),
)  # fmt: skip
_data = st.dictionaries(
    st.sampled_from(["x", "y"]),
    st.one_of(st.none(), st.integers(), st.text(max_size=9), st.lists(st.integers(), max_size=3)),
    max_size=2,
)


@costly(0.5)
@given(_template, _data)
@example("{{ '2026-99-99'|date }}", {})
@example("{{ '2026-01-01T99:00'|date }}", {})
@example("{{" + "(" * 1000, {})
def test_a_template_is_filled_or_refused(template: str, data: dict[str, Any]) -> None:
    try:
        text = templates.fill(template, data, read={"x": "{{ x }}"}.get, markdown=str)
    except JobError as error:
        check_refusal(error, most=2000)
        return
    assert "<class" not in text
