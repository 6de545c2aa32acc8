r"""Marks beyond GitHub's Markdown: ``H~2~O``, ``m^2^``, ``==mark==``, ``:smile:``, page breaks, pipes in code."""

from __future__ import annotations

import re
import types
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, table
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline

_MAX_MARK: Final = 1_000
_BREAK = re.compile(r"\\(newpage|pagebreak|clearpage)\s*|<!--\s*(newpage|pagebreak|page-break)\s*-->\s*", re.IGNORECASE)
# GitHub strikes ~words~ out; directly after a letter or digit, and without a blank, it is a subscript.
_SUBSCRIPT = re.compile(r"~([^\s~\\/|]{1,40})~(?!~)")
# 2^10 and x^2+y^2 are no superscripts.
_SUPERSCRIPT = re.compile(r"\^([^\s^\\\[\]|]{1,40})\^(?![0-9A-Za-z^])")
_MARK = re.compile(rf"==(?=[^\s=])((?:[^=\n\\]|\\.|=(?!=)){{1,{_MAX_MARK}}})(?<![\s=])==(?![0-9A-Za-z=])")
# The colons of 1:100:5 and of key:value:x belong to their words.
_EMOJI = re.compile(r"(?<![0-9A-Za-z_:])(?::[a-zA-Z0-9_+-]{1,50}:)+(?![0-9A-Za-z_:])")
_CODE_OR_PIPE = re.compile(r"\\.|(?P<ticks>`+)|\|")


def plugin(parser: MarkdownIt) -> None:
    """Add all of them."""
    parser.inline.ruler.before("strikethrough", "subscript", _subscript)
    parser.inline.ruler.before("strikethrough", "superscript", _superscript)
    parser.inline.ruler.before("strikethrough", "mark", _mark)
    parser.core.ruler.push("emoji", _emoji)
    parser.block.ruler.before("paragraph", "page_break", _page_break, {"alt": ["paragraph"]})
    parser.block.ruler.before("html_block", "page_break_comment", _page_break, {"alt": ["paragraph"]})
    parser.add_render_rule("page_break", lambda *_: '<div class="page-break"></div>\n')
    parser.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})


def _subscript(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 -- the parser's signature
    return _is_after_word(state) and _wrap(state, silent, _SUBSCRIPT, "sub")


def _superscript(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 -- the parser's signature
    return _is_after_word(state) and _wrap(state, silent, _SUPERSCRIPT, "sup")


def _mark(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 -- the parser's signature
    before = state.src[state.pos - 1 : state.pos] if state.pos else ""
    return not (before.isascii() and before.isalnum()) and before != "=" and _wrap(state, silent, _MARK, "mark")


def _is_after_word(state: StateInline) -> bool:
    before = state.src[state.pos - 1 : state.pos] if state.pos else ""
    return before.isalnum() or before in {")", "]", "}"}


def _wrap(state: StateInline, silent: bool, pattern: re.Pattern[str], tag: str) -> bool:  # noqa: FBT001
    found = pattern.match(state.src, state.pos, state.posMax)
    if not found:
        return False
    if not silent:
        end = state.posMax
        state.push(f"{tag}_open", tag, 1)
        state.pos, state.posMax = found.span(1)
        state.md.inline.tokenize(state)
        state.posMax = end
        state.push(f"{tag}_close", tag, -1)
    state.pos = found.end()
    return True


def _emoji(state: StateCore) -> None:
    """Replace short codes in text by their characters."""
    if not _EMOJI.search(state.src):
        return
    import emoji  # noqa: PLC0415 -- its tables, for documents with short codes only

    for block in state.tokens:
        for token in block.children or ():
            if token.type == "text" and _EMOJI.search(token.content):
                token.content = _EMOJI.sub(
                    lambda found: emoji.emojize(found[0], language="alias", variant="emoji_type"), token.content
                )


def _page_break(state: StateBlock, start: int, _end: int, silent: bool) -> bool:  # noqa: FBT001 -- the parser's signature
    if state.is_code_block(start):
        return False
    line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    if not _BREAK.fullmatch(line):
        return False
    if not silent:
        state.push("page_break", "div", 0)
        state.line = start + 1
    return True


def _cells(line: str) -> list[str]:
    """The cells of a row: as GitHub splits them, but a pipe within a code span belongs to the code."""
    cells, begin, position = [], 0, 0
    while found := _CODE_OR_PIPE.search(line, position):
        position = found.end()
        if ticks := found["ticks"]:
            closing = re.compile(rf"(?<!`){ticks}(?!`)").search(line, position)
            position = closing.end() if closing else position
        elif found[0] == "|":
            cells.append(line[begin : found.start()])
            begin = position
    return [cell.replace("\\|", "|") for cell in [*cells, line[begin:]]]


# The rule of the library with another function for its rows.
_rows = types.FunctionType(table.__code__, {**table.__globals__, "escapedSplit": _cells}, "table")


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001 -- the parser's signature
    before = len(state.tokens)
    if not _rows(state, start, end, silent):
        return False
    if not silent:
        columns = sum(token.type == "th_open" for token in state.tokens[before:])
        for line in range(start + 2, state.line):
            text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].strip().strip("|")
            state.env["surplus"] = state.env.get("surplus", 0) + sum(
                bool(cell.strip()) for cell in _cells(text)[columns:]
            )
    return True


def warning(environment: Any) -> str:
    """A warning about cells that were left out, or ``""``."""
    surplus = environment.get("surplus", 0)
    return surplus and (
        f"Cells of tables beyond the columns of their header were left out, as on GitHub: {surplus}. Write a pipe "
        "that is text as \\|."
    )
