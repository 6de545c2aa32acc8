"""Layout of a page's text: lines and columns as the page is seen, made of the positions of its characters."""

from __future__ import annotations

import ctypes
import math
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any

import pypdfium2.raw

from offloop_workers.pdf.reading.visible import View

MAX_CHARACTERS = 50_000
_MAX_COLUMN = 250
_SPACE = 0.7
"""A gap between two words that PDFium has found none in, in heights of a character: less is letter-spacing.

A column begins after a gap of `_COLUMN`.
"""
_COLUMN = 1.0
_ASLANT = 4
_MAX_SLANT = 15
"""Degrees between a line and the edge of the page, above which it is aslant, as most watermarks are."""
_TALL = 2
"""A word of more than so many usual heights is beside several lines, as an initial is."""
_LINE_END_HYPHEN = "\x02"
"""PDFium's character for a hyphen that ends a line; a code of a font may be the same."""
_HIGH, _LOW, _LOW_END = 0xD800, 0xDC00, 0xE000  # surrogates of UTF-16
_NOT_SHOWN = frozenset({"Cc", "Cs", "Cn", "Zs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Character:
    """A character on the page as it is seen, in points; the origin is at the lower left corner.

    Attributes:
        text: the character.
        left: of its box, as are `bottom`, `right` and `top`.
        bottom: see `left`.
        right: see `left`.
        top: see `left`.
        turned: quarters of a turn against the clock of its reading direction; `_ASLANT` for others.
        apart: white space or a line end is before it.
    """

    text: str
    left: float
    bottom: float
    right: float
    top: float
    turned: int
    apart: bool


@dataclass(slots=True)
class _Word:
    """Neighbouring characters of one line."""

    text: str
    left: float
    bottom: float
    right: float
    top: float
    backwards: bool = False

    @property
    def height(self) -> float:
        return self.top - self.bottom


@dataclass(slots=True)
class _Line:
    """Words side by side; the tallest one that is not beside several lines decides what else belongs to it."""

    tallest: _Word
    words: list[_Word] = field(default_factory=list)


def laid_out(found: Any, seen: View, *, vertical: bool = False) -> tuple[str, int]:
    """The visible text in lines and columns, and the number of characters outside of the visible page.

    Text in another reading direction than most of the page follows it, in lines of its own. Text that is aslant is
    last, in the order of the file.

    Args:
        found: PDFium's text page, of at most `MAX_CHARACTERS` characters.
        seen: the visible part of the page.
        vertical: a font of the page writes from top to bottom.
    """
    characters = list(_characters(found, seen))
    inside = [one for one in characters if _is_inside(one, seen)]
    blocks: list[tuple[int, str]] = []
    for turned in range(4):
        rest = [_turned_back(one) for one in inside if one.turned == turned]
        columns, rest = _columns(rest) if vertical else ([], rest)
        if columns:
            blocks.append((sum(len(column.text) for column in columns), _from_right(columns)))
        if rest:
            blocks.append((len(rest), _lines(_words(rest))))
    ordered = sorted(blocks, key=lambda block: -block[0])
    if aslant := [one for one in inside if one.turned == _ASLANT]:
        ordered.append((len(aslant), "".join(f"{' ' * one.apart}{one.text}" for one in aslant).strip()))
    return "\n\n".join(text for _, text in ordered), len(characters) - len(inside)


def _characters(found: Any, seen: View) -> Iterator[Character]:
    raw, page = pypdfium2.raw, found.raw
    box, apart = raw.FS_RECTF(), False
    for index, text in _unicode(found):
        if text == _LINE_END_HYPHEN and raw.FPDFText_IsHyphen(page, index) == 1:
            text = "-"  # noqa: PLW2901 -- a character of the text
        if unicodedata.category(text) in _NOT_SHOWN:
            # A control character that PDFium has not added is the code of a font that it cannot translate.
            apart = apart or text in " \t" or text > "\x7f" or raw.FPDFText_IsGenerated(page, index) == 1
            continue
        raw.FPDFText_GetLooseCharBox(page, index, ctypes.byref(box))
        degrees = -math.degrees(raw.FPDFText_GetCharAngle(page, index)) - seen.rotation
        left, bottom, right, top = _as_seen((box.left, box.bottom, box.right, box.top), seen)
        yield Character(text, left, bottom, right, top, _quarters(degrees), apart)
        apart = False


def _unicode(found: Any) -> Iterator[tuple[int, str]]:
    """The characters with their index; PDFium has two halves in UTF-16 for one beyond U+FFFF, such as an emoji."""
    high = 0
    for index in range(found.count_chars()):
        code = pypdfium2.raw.FPDFText_GetUnicode(found.raw, index)
        if _HIGH <= code < _LOW:
            high = code
            continue
        if high and _LOW <= code < _LOW_END:
            code = 0x10000 + (high - _HIGH << 10) + code - _LOW
        high = 0
        yield index, chr(min(code, sys.maxunicode))


def _quarters(degrees: float) -> int:
    quarters = round(degrees / 90)
    return quarters % 4 if abs(degrees - 90 * quarters) <= _MAX_SLANT else _ASLANT


def _as_seen(box: Sequence[float], seen: View) -> tuple[float, float, float, float]:
    left, bottom, right, top = box
    x, y, width, height = seen.box[0], seen.box[1], seen.box[2] - seen.box[0], seen.box[3] - seen.box[1]
    left, right, bottom, top = left - x, right - x, bottom - y, top - y
    match seen.rotation:
        case 90:
            left, bottom, right, top = bottom, width - right, top, width - left
        case 180:
            left, bottom, right, top = width - right, height - top, width - left, height - bottom
        case 270:
            left, bottom, right, top = height - top, left, height - bottom, right
    unit = seen.unit
    return left * unit, bottom * unit, right * unit, top * unit


def _is_inside(one: Character, seen: View) -> bool:
    return 0 <= one.left + one.right <= 2 * seen.width and 0 <= one.bottom + one.top <= 2 * seen.height


def _turned_back(one: Character) -> Character:
    """The character as if its text were read from left to right."""
    if not one.turned:
        return one
    box = one.left, one.bottom, one.right, one.top
    match one.turned:
        case 1:
            box = one.bottom, -one.right, one.top, -one.left
        case 2:
            box = -one.right, -one.top, -one.left, -one.bottom
        case 3:
            box = -one.top, one.left, -one.bottom, one.right
    return Character(one.text, *box, 0, one.apart)


def _columns(characters: Sequence[Character]) -> tuple[list[_Word], list[Character]]:
    """Columns of characters one below the other, as vertical writing has them, and the characters that are in none."""
    columns: list[list[Character]] = []
    for one in characters:
        above = columns[-1][-1] if columns else None
        height = one.top - one.bottom
        follows = (
            above is not None
            and abs(one.left + one.right - above.left - above.right) < 1.5 * height
            and -height / 2 < above.bottom - one.top < height
        )
        if follows:
            columns[-1].append(one)
        else:
            columns.append([one])
    words = [
        _Word(
            "".join(one.text for one in column),
            min(one.left for one in column),
            column[-1].bottom,
            max(one.right for one in column),
            column[0].top,
        )
        for column in columns
        if len(column) > 1
    ]
    return words, [column[0] for column in columns if len(column) == 1]


def _from_right(columns: Iterable[_Word]) -> str:
    return "\n".join(column.text for column in sorted(columns, key=lambda column: (-round(column.left), -column.top)))


def _words(characters: Sequence[Character]) -> list[_Word]:
    words: list[_Word] = []
    for one in characters:
        backwards = _is_backwards(one.text)
        word = words[-1] if words else None
        if word is not None and not one.apart and _continues(word, one, backwards=backwards):
            word.text += one.text
            word.left, word.right = min(word.left, one.left), max(word.right, one.right)
            word.bottom, word.top = min(word.bottom, one.bottom), max(word.top, one.top)
            word.backwards = word.backwards or bool(backwards)
        else:
            words.append(_Word(one.text, one.left, one.bottom, one.right, one.top, bool(backwards)))
    return words


def _continues(word: _Word, one: Character, *, backwards: bool | None) -> bool:
    height = max(min(word.height, one.top - one.bottom), 0.1)
    if min(word.top, one.top) - max(word.bottom, one.bottom) < 0.3 * height:
        return False
    if backwards is not None and backwards != word.backwards and any(map(str.isalnum, word.text)):
        return False
    gap = word.left - one.right if word.backwards else one.left - word.right
    return -height < gap < _SPACE * height


def _is_backwards(text: str) -> bool | None:
    """Whether a character is written from right to left; None for one of neither direction."""
    match unicodedata.bidirectional(text):
        case "R" | "AL":
            return True
        case "L" | "EN" | "AN":
            return False
    return None


def _lines(words: Sequence[_Word]) -> str:
    lines: list[_Line] = []
    most = _TALL * sorted(word.height for word in words)[len(words) // 2]
    for word in sorted(words, key=lambda word: -(word.top + word.bottom)):
        line = lines[-1] if lines else None
        if line is not None and _beside(line.tallest, word):
            line.words.append(word)
            line.tallest = max(line.tallest, word, key=lambda one: one.height if one.height <= most else -one.height)
        else:
            lines.append(_Line(word, [word]))
    widths = sorted((word.right - word.left) / len(word.text) for word in words)
    unit = max(widths[len(widths) // 2], 0.5)
    backwards = sum(len(word.text) for word in words if word.backwards) * 2 > sum(len(word.text) for word in words)
    edge = max(word.right for word in words) if backwards else min(word.left for word in words)
    return "\n".join(_line(line.words, edge, unit, backwards=backwards) for line in lines)


def _beside(one: _Word, other: _Word) -> bool:
    return min(one.top, other.top) - max(one.bottom, other.bottom) > min(one.height, other.height) / 2


def _line(words: Sequence[_Word], edge: float, unit: float, *, backwards: bool) -> str:
    """The words of a line in reading order, with spaces for the gaps between columns."""
    ordered = sorted(words, key=lambda word: -word.right if backwards else word.left)
    line = ""
    for column in _split(ordered):
        start = edge - max(word.right for word in column) if backwards else min(word.left for word in column) - edge
        position = min(round(start / unit), _MAX_COLUMN)
        line = line.ljust(position) if position > len(line) else f"{line}  " if line else ""
        line += " ".join(_in_reading_order(column, backwards=backwards))
    return line


def _split(ordered: Sequence[_Word]) -> Iterator[list[_Word]]:
    """The columns of a line: words with a wide gap between them."""
    column = [ordered[0]]
    for before, word in pairwise(ordered):
        gap = max(word.left - before.right, before.left - word.right)
        if gap > _COLUMN * max(before.height, word.height):
            yield column
            column = []
        column.append(word)
    yield column


def _in_reading_order(words: Sequence[_Word], *, backwards: bool) -> list[str]:
    """Words in their order on the line; a run of words of the other direction is read from its other end."""
    ordered: list[str] = []
    for other, run in groupby(words, key=lambda word: word.backwards != backwards):
        texts = [word.text for word in run]
        ordered += reversed(texts) if other else texts
    return ordered
