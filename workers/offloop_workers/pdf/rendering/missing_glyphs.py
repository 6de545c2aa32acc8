"""Warnings about characters without a glyph, by writing system, each with a font that has them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

_MAX_LISTED = 6
# The first word of a character's Unicode name is its script, except for these.
_ALIASES: Final = {
    "CJK": "Chinese or Japanese",
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "HALFWIDTH": "Japanese",
    "FULLWIDTH": "Chinese or Japanese",
    "IDEOGRAPHIC": "Chinese or Japanese",
    "HANGUL": "Korean",
    "OLD": "historic scripts",
    "EGYPTIAN": "Egyptian hieroglyphs",
    "CANADIAN": "Canadian syllabics",
    "MATHEMATICAL": "mathematics",
    "MUSICAL": "music",
}
_FONTS: Final = {
    "Chinese or Japanese": "Noto Sans CJK",
    "Japanese": "Noto Sans CJK",
    "Korean": "Noto Sans CJK",
    "emoji": "Noto Color Emoji",
    "mathematics": "Noto Sans Math",
    "symbols": "Noto Sans Symbols",
}
_NAMES = (
    "Adlam Arabic Armenian Balinese Bengali Cherokee Coptic Cyrillic Devanagari Ethiopic Georgian Gothic Greek "
    "Gujarati Gurmukhi Hebrew Javanese Kannada Khmer Lao Latin Malayalam Mongolian Myanmar Oriya Runic Sinhala Syriac "
    "Tamil Telugu Thaana Thai Tibetan Tifinagh Vai Yi"
)
_SCRIPTS: Final = frozenset(_NAMES.split())
_EMOJI: Final = (range(0x1F000, 0x1FB00), range(0x2600, 0x27C0), range(0xFE00, 0xFE10), range(0xE0020, 0xE0080))


def script(character: str) -> str:
    """The common name of a character's writing system."""
    if any(ord(character) in block for block in _EMOJI):
        return "emoji"
    name = unicodedata.name(character, "")
    word = name.split(" ")[0].split("-")[0]
    if word in _ALIASES:
        return _ALIASES[word]
    if word.capitalize() in _SCRIPTS:
        return word.capitalize()
    return "symbols" if name else "private or unassigned characters"


def missing(codepoints: Iterable[int]) -> Iterator[str]:
    """Warnings about characters that no font has, one for each writing system."""
    by_script: dict[str, list[int]] = {}
    for codepoint in codepoints:
        by_script.setdefault(script(chr(codepoint)), []).append(codepoint)
    for name, found in by_script.items():
        font = _FONTS.get(name) or (f"Noto Sans {name}" if name in _SCRIPTS else "")
        yield (
            f"No font has these characters of {name}: {_first(found)}. They are drawn as empty boxes. Pass a font that "
            f"has them{f', such as {font},' if font else ''} in assets and name it with @font-face in css, or have it "
            "installed on the workers."
        )


def _first(codepoints: list[int]) -> str:
    text = ", ".join(f"{chr(codepoint)} (U+{codepoint:04X})" for codepoint in codepoints[:_MAX_LISTED])
    return f"{text} and {len(codepoints) - _MAX_LISTED} more" if len(codepoints) > _MAX_LISTED else text
