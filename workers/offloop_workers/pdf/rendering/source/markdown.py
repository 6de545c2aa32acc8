"""Markdown to HTML: GitHub's tables, task lists, footnotes and alerts, formulas, definitions, highlighted code."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import pygments
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from mdit_py_plugins.anchors import anchors_plugin
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.gfm import gfm_plugin
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from offloop.kinds.context import Context
from offloop_workers.pdf.rendering.source import extensions, formulas
from offloop_workers.pdf.rendering.source.rawhtml import Filter

_MAX_DEPTH = 6
_MAX_NAMED = 20
# Settings in YAML: each line is a key, an item, a comment, indented or empty. Other text between two rules is text.
_FRONT_MATTER = re.compile(
    r"---[ \t]*\r?\n(?:(?:#[^\n]*\n)*[^\s:#>|*`-][^\n:]*:(?=\s)[^\n]*\n"
    r"(?:[^\s:#>|*`-][^\n:]*:(?=\s)[^\n]*\n|[ \t#][^\n]*\n|-[ \t][^\n]*\n|\r?\n)*)?(?:---|\.\.\.)[ \t\r]*(?:\n|\Z)"
)
_DIAGRAMS = frozenset({"mermaid", "plantuml", "puml", "graphviz", "geojson", "topojson", "stl", "vega", "vega-lite"})


def to_html(markdown: str, context: Context) -> str:
    """Convert a document; raw HTML is filtered, with a warning about dropped elements.

    A byte-order mark at the beginning and front matter are no text.
    """
    markdown = markdown.removeprefix("\ufeff")
    if settings := _FRONT_MATTER.match(markdown):
        markdown = markdown[settings.end() :]
    environment: dict[str, Any] = {"filter": Filter(), "untypeset": [], "diagrams": Counter()}
    body = _parser().render(markdown, environment)
    for sentence in _warnings(environment):
        context.warn(sentence)
    return f"<article class=markdown>{body}</article>"


def _warnings(environment: dict[str, Any]) -> Iterator[str]:
    if dropped := environment["filter"].dropped:
        more = " and more" if len(dropped) > _MAX_NAMED else ""
        yield (
            f"Raw HTML in Markdown that was left out: {_counted(dropped)}{more}. Send the document as html to keep it, "
            "or style a class with css."
        )
    if diagrams := environment["diagrams"]:
        yield f"Diagrams are shown as their code, since nothing here draws them: {_counted(diagrams)}."
    yield from filter(None, (formulas.warning(environment["untypeset"]), extensions.warning(environment)))


def _counted(names: Counter[str]) -> str:
    return ", ".join(f"{name} ({count}x)" if count > 1 else name for name, count in names.most_common(_MAX_NAMED))


@cache
def _parser() -> MarkdownIt:
    # html=True makes the parser emit tokens for raw HTML, which the two rules below filter.
    parser = MarkdownIt("commonmark", {"html": True, "highlight": _highlight})
    parser.use(gfm_plugin).use(anchors_plugin, max_level=_MAX_DEPTH)
    parser.use(deflist_plugin).use(extensions.plugin).use(formulas.plugin)
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("html_inline", _filtered)
    parser.add_render_rule("html_block", _filtered)
    return parser


def _filtered(_self: RendererHTML, tokens: Sequence[Token], index: int, _options: Any, environment: Any) -> str:
    filtered: str = environment["filter"].clean(tokens[index].content)
    return filtered


def _fence(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, environment: Any) -> str:
    """A code block; one in the language ``math`` is a formula."""
    token = tokens[index]
    language = token.info.strip().split(" ")[0].lower()
    if language == "math":
        return formulas.drawn(token.content, environment, display=True)
    if language in _DIAGRAMS:
        environment["diagrams"][language] += 1
    return renderer.fence(tokens, index, options, environment)


def _highlight(code: str, language: str, _attributes: str) -> str:
    """Highlight a code block; for an empty result the parser escapes the plain text."""
    try:
        lexer = get_lexer_by_name(html.unescape(language), stripnl=False)
    except ClassNotFound:
        return ""
    coloured: str = pygments.highlight(code, lexer, HtmlFormatter(nowrap=True))
    return coloured
