"""Text in Markdown: characters that Markdown would take for its own are escaped, and no others."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_WHITESPACE: Final = re.compile(r"[ \t\n\r\f]+")
_WIDE: Final = (
    r"[\u2e80-\u303e\u3041-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uf900-\ufaff\ufe30-\ufe4f\uff01-\uff60\uffe0-\uffe6]"
)
"""Characters between which a line break of the source is no space (CSS Text 3, segment breaks): Hangul is none."""
_BREAK_OF_WIDE: Final = re.compile(rf"(?<={_WIDE})[ \t\r\f]*\n[ \t\r\f\n]*(?={_WIDE})")
_WIDE_ONE: Final = re.compile(_WIDE)
_UNSEEN: Final = dict.fromkeys([0xAD, 0x200B, 0x2060, 0xFEFF]) | {0xA0: " ", 0x202F: " "}

_SPECIAL: Final = re.compile(r"[\\`*_<&~]|!\[|\]\(")
_ADDRESS: Final = r"https?://[\w/:?&=%.#~+@,;$-]+"
_BACKSLASH: Final = r"\\(?=[!-/:-@\[-`{-~]|$)"
_ENTITY: Final = r"&(?=[A-Za-z][A-Za-z0-9]{1,31};|\#[0-9]{1,7};|\#[xX][0-9a-fA-F]{1,6};|$)"
_IN_TITLE: Final = re.compile(rf"{_BACKSLASH}|{_ENTITY}")
_ESCAPED: Final = re.compile(
    rf"(?P<address>{_ADDRESS})"
    rf"|{_BACKSLASH}"
    r"|`"
    r"|(?<![ ])\*|\*(?![ ])"
    r"|(?<![^\W_])_(?![ ])|(?<![ ])_(?![^\W_])"
    r"|<(?=[A-Za-z/!?]|$)"
    rf"|{_ENTITY}"
    r"|(?<![ ])~|~(?![/0-9 ])"
    r"|!(?=\[)"
    r"|(?<=\])\("
)
_AT_START: Final = re.compile(
    r"(?P<digits>[0-9]{1,9})(?=[.)](?:[ ]|$))"
    r"|(?=\#{1,6}(?:[ ]|$)|>|[-+](?:[ ]|$)|[-=_|:][-=_|: ]*$|\||~~~|\[[^\]]{0,999}\]:|\[[ xX]\](?:[ ]|$))"
)
_BRACKETS: Final = re.compile(r"[\[\]]")


def collapsed(text: str) -> str:
    """Text with each run of white space as CSS shows it: one space, or none between two characters of Chinese."""
    if not text.isascii():
        text = _BREAK_OF_WIDE.sub("", text)
        text = text.translate(_UNSEEN)
    return _WHITESPACE.sub(" ", text)


def is_wide(character: str) -> bool:
    """Whether a line break beside it may be none."""
    return bool(_WIDE_ONE.match(character))


def is_punctuation(character: str) -> bool:
    """Whether CommonMark counts it as punctuation."""
    return unicodedata.category(character)[0] in "PS"


def escaped(text: str) -> str:
    """Text that reads the same as Markdown, in the middle of a line."""
    return _ESCAPED.sub(_one, text) if _SPECIAL.search(text) else text


def _one(found: re.Match[str]) -> str:
    return found["address"] or "\\" + found[0]


def escaped_start(text: str) -> str:
    """The same for escaped text at the beginning of a line: no heading, item, quote, rule, table or definition."""
    found = _AT_START.match(text)
    if not found:
        return text
    if found["digits"]:
        return f"{found['digits']}\\{text[found.end() :]}"
    return text if text.startswith("\\") else "\\" + text


def escaped_label(text: str) -> str:
    """The same for escaped text in a link: brackets that are not in pairs would end it."""
    depth = 0
    for bracket in _BRACKETS.findall(text):
        depth += 1 if bracket == "[" else -1
        if depth < 0:
            break
    return _BRACKETS.sub(r"\\\g<0>", text) if depth else text


def link_title(text: str) -> str:
    """The title of a link, with the space before it: a backslash or entity in it is text too."""
    text = _IN_TITLE.sub(r"\\\g<0>", text.replace('"', "'"))
    return f' "{text}"'


def code_span(text: str) -> str:
    """Text as inline code, within more backticks than it has in a row."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def code_block(text: str, language: str) -> str:
    """Text as a fenced block."""
    longest = max((len(run) for run in re.findall("`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
