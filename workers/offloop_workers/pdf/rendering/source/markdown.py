"""GitHub Flavored Markdown to HTML: tables, task lists, footnotes, alerts, highlighted code, linked headings."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import cache
from typing import Any

import pygments
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from mdit_py_plugins.anchors import anchors_plugin
from mdit_py_plugins.gfm import gfm_plugin
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from offloop.kinds.context import Context
from offloop_workers.pdf.rendering.source.rawhtml import Filter

_MAX_DEPTH = 6


def to_html(markdown: str, context: Context) -> str:
    """Convert a document; raw HTML is filtered, with a warning about dropped elements."""
    environment: dict[str, Any] = {"filter": Filter()}
    body = _parser().render(markdown, environment)
    if dropped := environment["filter"].dropped:
        names = ", ".join(f"<{name}>" for name in sorted(dropped)[:20])
        context.warn(f"Raw HTML in Markdown that was left out: {names}. Send the document as html to keep it.")
    return f"<article class=markdown>{body}</article>"


@cache
def _parser() -> MarkdownIt:
    # html=True makes the parser emit tokens for raw HTML, which the two rules below filter.
    parser = MarkdownIt("commonmark", {"html": True, "highlight": _highlight})
    parser.use(gfm_plugin, front_matter=True).use(anchors_plugin, max_level=_MAX_DEPTH)
    parser.add_render_rule("html_inline", _filtered)
    parser.add_render_rule("html_block", _filtered)
    return parser


def _filtered(_self: RendererHTML, tokens: Sequence[Token], index: int, _options: Any, environment: Any) -> str:
    filtered: str = environment["filter"].clean(tokens[index].content)
    return filtered


def _highlight(code: str, language: str, _attributes: str) -> str:
    """Highlight a code block; for an empty result the parser escapes the plain text."""
    try:
        lexer = get_lexer_by_name(html.unescape(language), stripnl=False)
    except ClassNotFound:
        return ""
    coloured: str = pygments.highlight(code, lexer, HtmlFormatter(nowrap=True))
    return coloured
