"""Search in extracted text: the same word is found whatever characters and line ends it was set with."""

from __future__ import annotations

import re
import unicodedata

from offloop.errors import JobError

_JOINT = "\0"
"""A hyphen that may be of the line end: a soft hyphen, or a hyphen before a line break."""
_SAME = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d", "-"),
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc\u00b4`", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
        # Characters without a shape of their own: joiners, directions, byte-order marks; and the Arabic tatweel.
        **dict.fromkeys("\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069"),
        **dict.fromkeys("\ufeff\u0640\u034f"),
        # Vowels of Hebrew and Arabic, which most texts leave out.
        **dict.fromkeys(map(chr, (*range(0x5B0, 0x5BE), 0x5BF, 0x5C1, 0x5C2, *range(0x64B, 0x653), 0x670))),
        **dict.fromkeys("\u2044\u2215", "/"),
        "\u0131": "i",
        "\u00ad": _JOINT,
    }
)
_LINE_END = re.compile(r"(?<!\s)[-\0][^\S\n]*\n\s*")
_SPACES = re.compile(r"\s+")
# Scripts without spaces between words: a line break there is no space.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u2e80-\u2fff\u3001-\u30ff\u31c0-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_BETWEEN_UNSPACED = re.compile(f"(?<=[{_UNSPACED}]) (?=[{_UNSPACED}])")
# Addresses are broken after a slash, without a hyphen.
_FORMS = {"-": f"[-{_JOINT}]", "/": "/ ?"}
# TeX's old fonts draw an accent as a character of its own, before its letter.
_MARKS = dict(
    zip("\u00b4`\u00a8\u02c6\u02dc\u00b8\u02d8\u02d9\u02da\u02c7\u02dd\u00af",
        "\u0301\u0300\u0308\u0302\u0303\u0327\u0306\u0307\u030a\u030c\u030b\u0304", strict=True)
)  # fmt: skip
_ACCENT = re.compile(f"([{''.join(_MARKS)}])([^\\W\\d_])")


def pattern(wanted: str) -> re.Pattern[str]:
    """The pattern of a text in what `folded` returns.

    Raises:
        JobError: ``bad_input``: the text has no visible character.
    """
    plain = folded(wanted).strip().replace(_JOINT, "")
    if not plain:
        message = "search holds no visible character: send a word of the text."
        raise JobError(message, code="bad_input")
    return re.compile(f"{_JOINT}?".join(_FORMS.get(one) or re.escape(one) for one in plain))


def folded(text: str) -> str:
    """A text for comparison.

    Characters become those of Unicode's compatibility form (NFKC) without case: ligatures, full-width and presentation
    forms, accents of their own. Dashes and quotation marks are alike, white space is one space, and a hyphen at the end
    of a line is a mark that a pattern may pass over.
    """
    text = _ACCENT.sub(_composed, text)
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text.translate(_SAME)).casefold())
    text = text.replace("i\u0307", "i")  # what becomes of the dotted capital of Turkish
    text = _SPACES.sub(" ", _LINE_END.sub(_JOINT, text.translate(_SAME)))
    return _BETWEEN_UNSPACED.sub("", text)


def _composed(found: re.Match[str]) -> str:
    letter = "i" if found[2] == "\u0131" else found[2]
    composed = unicodedata.normalize("NFC", letter + _MARKS[found[1]])
    return composed if len(composed) == 1 else found[0]
