"""Readable part of any page: all that is seen is in it, in order, and nothing of it is taken for markup."""

from __future__ import annotations

import re
from typing import Literal

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from offloop_server.io.http.readable.document import Source, readable
from offloop_server.io.http.readable.tree import from_html
from support.fuzzing import costly

_words = st.one_of(
    st.sampled_from(
        ["*", "_", "**a", "b_", "_c_d", "1.", "12)", "#", "##", "-", "+", "---", "===", ">", "|", "|a|", "`", "``",
         "~~", "~", "[", "]", "[a](b)", "[x]", "[x]:", "![a](b)", "(", "!", "\\", "\\*", "&amp;amp;", "&amp;lt;",
         "&lt;b>", "&lt;!--", "http://x.y/a_b_c", "www.x_y_.z", "日本", "語。", "한국", "مرحبا", "snake_case", "a*b*c",
         "3.14", "&amp;", "x@y.z", "<br>"]
    ),
    st.text(
        st.characters(codec="utf-8", categories=["L", "N", "P", "S"], exclude_characters="<&"), min_size=1, max_size=4
    ),
)  # fmt: skip
_text = st.lists(_words, min_size=1, max_size=5).map(" ".join)
_INLINE = ["b", "i", "em", "strong", "u", "span", "del", "mark", "ins", "small", "a href=/x", "a", "sup", "sub", "cite"]
_BLOCKS = ["p", "div", "blockquote", "section", "li", "figure", "details", "center"]


def _element(names: list[str], inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    blank = st.sampled_from(["", " ", "\n"])
    return st.tuples(st.sampled_from(names), blank, inner, blank).map(
        lambda drawn: f"<{drawn[0]}>{drawn[1]}{drawn[2]}{drawn[3]}</{drawn[0].split()[0]}>"
    )


_phrase = st.recursive(
    _text,
    lambda inner: st.one_of(
        _element(_INLINE, inner),
        st.lists(inner, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=2).map(lambda drawn: "<br>".join([*drawn, ""])),
    ),
    max_leaves=6,
)
_list = st.tuples(
    st.sampled_from(["ul", "ol", "ol start=7", "ol reversed", "ol type=a"]), st.lists(_phrase, min_size=1, max_size=3)
).map(lambda drawn: f"<{drawn[0]}>{''.join(f'<li>{one}' for one in drawn[1])}</{drawn[0][:2]}>")
_table = st.lists(st.lists(_phrase, min_size=2, max_size=2), min_size=1, max_size=3).map(
    lambda rows: (
        "<table border=1>" + "".join("<tr>" + "".join(f"<td>{one}" for one in row) for row in rows) + "</table>"
    )
)
_page = st.recursive(
    st.one_of(_phrase, _element(["h2"], _phrase), _list, _table),
    lambda inner: st.one_of(_element(_BLOCKS, inner), st.lists(inner, max_size=3).map("".join)),
    max_leaves=6,
)
_SEPARATE = re.compile(r"<(?=/?(?:p|div|h2|h1|blockquote|section|li|figure|details|center|td|th|tr|ul|ol|br|table)\b)")


def _seen(html: str) -> str:
    """The visible text of a page without white space, which the reference has elsewhere."""
    text = from_html(html).text
    return re.sub(r"[\s\u00ad\u200b\u2060\ufeff]+", "", text)


@costly(0.3)
@given(_page)
@example("<b>a</b><b>b</b>")
@example("<b>a<br></b>b")
@example("<a href=/x>a<br></a># b")
@example("<b><i>a<br></i></b>b")
@example("a<b>(b)</b>c<i>d</i><b>e.</b>f")
@example("<a href=/x>a]b</a>(c)")
@example("x!<a href=/x>y</a>")
@example("<ol start=7><li>a</ol>b")
@example("<p>a<br>---<br># b<br>1. c")
@example("<table border=1><tr><td>a|b<td>\\|<tr><td>`|`<td>**</table>")
@example("<blockquote>1.<br>a</blockquote>")
def test_markdown_of_a_page_is_seen_as_the_page(html: str) -> None:
    found = readable(html, "markdown", url="http://h/p")
    assert found.text is not None
    shown = (
        MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(found.text.replace("<http://h/x>", ""))
    )  # of a link without content
    assert _seen(shown) == _seen(re.sub(r"<ol type=a>.*?</ol>", "", html)) or "<ol type=a>" in html, found.text


@costly(0.3)
@given(_page)
def test_text_of_a_page_is_what_is_seen(html: str) -> None:
    found = readable(html, "text")
    assert found.text is not None
    if not re.search("<su|<li|<ol|<ul", html):  # items have markers, scripts have their signs
        assert re.sub(r"\s+", "", found.text) == _seen(html)


_source = st.lists(
    st.sampled_from(
        ["<p>", "</p>", "<table><tr><td>", "<td rowspan=0 colspan=9>", "<!--", "-->", "<script>", "<a href='x'>",
         "&#x110000;",
         "<![CDATA[", "<!DOCTYPE", "text", "<meta charset=utf-7>", "\0", "<li>" * 9, "<?x", "&#xd800;", "<title>",
         "</title>", "<![if", "<![x", "<pre>", "<svg>", "<math><msup>", "<ruby><rt>", "<select><option>", "<dl><dt>",
         "<dd>",
         "<template shadowrootmode=open>", "<frameset><frame src=x>", "<base href='//['>", "<img srcset='a 1x, b 9w,'>",
         "<iframe srcdoc='<p>x'>", "<ol start=-9 type=i>", "<rss>", "<item>", "<feed xmlns='http://www.w3.org/2005/Atom'>",
         "<meta http-equiv=refresh content='0;url=//['>", "<code>", "<textarea>", "<br>", "<b>", "</b>", "<object>"]
    )
).map("".join)  # fmt: skip


@costly(0.3)
@given(st.one_of(_source, st.text()), st.sampled_from(["markdown", "text"]), st.sampled_from(["html", "xml"]))
@example("<![iftext<p>", "markdown", "html")
def test_any_source_has_a_readable_part(source: str, to: Literal["markdown", "text"], kind: Source) -> None:
    found = readable(source, to, kind, "http://[::1")
    (found.text or "").encode("utf-8", "replace")
    assert all(isinstance(note, str) for note in found.notes)
