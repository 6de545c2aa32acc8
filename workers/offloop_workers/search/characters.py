"""Sets of characters as sorted ranges of code points: union, complement, case folding."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

Ranges = tuple[tuple[int, int], ...]
"""Inclusive ranges, in order, which neither touch nor overlap."""

_LAST: Final = 0x10FFFF
_LAST_CASED: Final = 0x1E943  # no character above has another case, up to Unicode 17
_SURROGATES: Final = (0xD800, 0xDFFF)


def ranges(parts: Iterable[tuple[int, int]]) -> Ranges:
    """The union of ranges. Surrogates are left out, since no decoded text has one."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(_without_surrogates(parts)):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def complement(chosen: Ranges) -> Ranges:
    """All other characters."""
    gaps = []
    start = 0
    for low, high in chosen:
        gaps.append((start, low - 1))
        start = high + 1
    gaps.append((start, _LAST))
    return ranges((low, high) for low, high in gaps if low <= high)


def without(chosen: Ranges, character: str) -> Ranges:
    """The set without one character."""
    code = ord(character)
    if not contains(chosen, code):
        return chosen
    return complement(ranges([*complement(chosen), (code, code)]))


def contains(chosen: Ranges, code: int) -> bool:
    """Whether a character is in the set."""
    index = bisect_right(chosen, (code, _LAST)) - 1
    return index >= 0 and chosen[index][0] <= code <= chosen[index][1]


def folded(chosen: Ranges) -> Ranges:
    """The set with all cases of its characters, by Unicode's simple case folding."""
    cases = folds()
    if len(chosen) == 1 and chosen[0][0] == chosen[0][1]:
        return ranges((code, code) for code in cases.get(chosen[0][0], (chosen[0][0],)))
    more = [other for code, others in cases.items() if contains(chosen, code) for other in others]
    return ranges([*chosen, *((code, code) for code in more)])


@cache
def folds() -> Mapping[int, tuple[int, ...]]:
    """Every character that has another case, with all its cases, itself included."""
    groups: dict[str, list[int]] = {}
    for character in map(chr, range(_LAST_CASED + 1)):
        if (fold := _fold(character)) != character:
            groups.setdefault(fold, [ord(fold)]).append(ord(character))
    return {code: tuple(group) for group in groups.values() for code in group}


def _fold(character: str) -> str:
    # A full folding, such as that of ß to ss, is longer than one character: then the simple one.
    for fold in (character.casefold(), character.lower()):
        if len(fold) == 1:
            return fold
    return character


def _without_surrogates(parts: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    first, last = _SURROGATES
    for low, high in parts:
        if high < first or low > last:
            yield low, high
            continue
        if low < first:
            yield low, first - 1
        if high > last:
            yield last + 1, high


ALL: Final = ranges([(0, _LAST)])
DIGITS: Final = ranges([(ord("0"), ord("9"))])
WORD: Final = ranges([*DIGITS, (ord("A"), ord("Z")), (ord("a"), ord("z")), (ord("_"), ord("_"))])
SPACE: Final = ranges([(9, 13), (32, 32)])
