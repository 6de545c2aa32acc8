"""Labels of charsets in the WHATWG Encoding Standard.

https://encoding.spec.whatwg.org/#names-and-labels

A label names the charset that browsers read it as: ``iso-8859-1`` is windows-1252, ``gb2312`` is gbk. Labels outside
the standard are accepted where Python has a codec of that family and files with it exist: UTF-32, DOS and EBCDIC code
pages, Macintosh charsets, and other spellings of the standard's own.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import Final

import webencodings

MAX_LABEL: Final = 40
_BLANKS: Final = "\t\n\f\r "
_FAMILIES: Final = re.compile(
    r"cp\d{3,5}|utf[_-]?(8|16|32)([_-]?[lb]e)?([_-]sig)?|latin[_-]?\d{1,2}|mac[_-]?[a-z]{4,9}2?|"
    r"(iso[_-]?)?8859[_-]?\d{1,2}|koi8[_-]?[rtu]|hp[_-]roman8|tis[_-]?620|ptcp154|kz[_-]?1048|"
    r"johab|euc[_-]?(jp|kr|jis[_-]2004|jisx0213)|shift[_-]?jis[_-](2004|x0213)|s?jis|big5[_-]?hkscs|gb[_-]?(k|2312|18030)"
)
"""Labels that are looked up among Python's codecs: others of them are no charsets, or very slow."""
_CODE_PAGE: Final = re.compile(r"(?:x[_-])?(?:cp|ibm|dos|windows|win|ms)[_-]?(\d{3,5})")
_SPELLINGS: Final = {
    **dict.fromkeys(("utf8mb4", "utf8mb3", "utf-8-sig", "utf8-sig", "cp65001"), "utf-8"),
    **dict.fromkeys(("ansi", "latin-1", "latin 1"), "windows-1252"),
    **dict.fromkeys(("jis", "cp50220"), "iso-2022-jp"),
    **dict.fromkeys(("cp20932", "cp51932", "eucjp-ms", "eucjp-win"), "euc-jp"),
    **dict.fromkeys(("cp949", "cp51949"), "euc-kr"),
    "cp932": "shift_jis",
    "cp936": "gbk",
    "cp950": "big5",
    **dict.fromkeys(("cp54936", "gb-18030", "gb18030-2022"), "gb18030"),
    **dict.fromkeys(("x-mac-ce", "x-mac-centraleurroman", "x-maccentraleurope"), "mac-latin2"),
    "utf-32": "utf-32-le",
}


def charset_named(label: str) -> str | None:
    """The name of the charset that a label means, in lower case; None where no such charset is known."""
    return _named(label[: MAX_LABEL + 1].strip(_BLANKS).lower())


@lru_cache(256)
def _named(label: str) -> str | None:
    if not label or len(label) > MAX_LABEL or not label.isascii():
        return None
    if found := webencodings.lookup(label):
        return str(found.name)
    if page := _CODE_PAGE.fullmatch(label):
        label = f"cp{page[1]}"
    if label in _SPELLINGS:
        return _SPELLINGS[label]
    return _of_python(label) if _FAMILIES.fullmatch(label) else None


def _of_python(label: str) -> str | None:
    """The standard's name of a codec of Python, else Python's own."""
    try:
        name = codecs.lookup(label).name
    except LookupError:
        return None
    found = webencodings.lookup(name.replace("_", "-").replace("utf-16-", "utf-16"))
    return str(found.name) if found else name
