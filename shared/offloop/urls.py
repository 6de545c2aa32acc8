"""URLs as callers write them: surrounding blanks, hosts in any script, and their secrets in messages."""

from __future__ import annotations

import re
from typing import Final

import idna

_ENDS: Final = (
    "".join(map(chr, (*range(0x21), *range(0x2000, 0x2010), *range(0x2028, 0x2030), *range(0x205F, 0x2070))))
    + "\x7f\x85\xa0\xad\u061c\u1680\u3000\ufeff"
)
"""Blanks, controls, marks of direction and other invisible characters, which no URL begins or ends with.

They come along when one is copied.
"""
_BREAKS: Final = str.maketrans("", "", "\t\n\r")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20}):")
_AUTHORITY: Final = re.compile(r"(https?://)([^/?#]*)", re.IGNORECASE)
_USER: Final = re.compile(r"^([A-Za-z0-9+.-]*:?//)[^/?#]*@")
_DOTS: Final = re.compile("[.\u3002\uff0e\uff61]")
_MAX_SHOWN: Final = 100


def trimmed(text: str) -> str:
    """The text without blanks and invisible characters around it."""
    return text.strip(_ENDS)


def cleaned(url: str) -> str:
    """The URL as the URL Standard reads it (https://url.spec.whatwg.org/#url-parsing), to be parsed afterwards.

    Blanks around it, and line breaks and tabs inside, are dropped; the scheme is in lower case; a host in another
    script is its ASCII form (UTS 46). What is no URL stays as it is.
    """
    url = trimmed(url).translate(_BREAKS)
    if found := _SCHEME.match(url):
        url = found[0].lower() + url[found.end() :]
    if (found := _AUTHORITY.match(url)) and not found[2].isascii():
        return found[1] + _ascii_host(found[2]) + url[found.end() :]
    return url


def shown(url: str) -> str:
    """A URL for a message, without what may be secret: user name, password, query and fragment."""
    text, query, _ = _USER.sub(r"\1", trimmed(url)).partition("#")[0].partition("?")
    text = text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"
    return text + ("?…" if query else "")


def _ascii_host(authority: str) -> str:
    """The authority with its host in ASCII; unchanged where a letter would merely become another one, as ⓛ an l."""
    user, at, rest = authority.rpartition("@")
    host, colon, port = rest.partition(":")
    labels = _DOTS.split(host)
    try:
        mapped = [one if one.isascii() else idna.encode(one, uts46=True).decode("ascii") for one in labels]
    except (idna.IDNAError, UnicodeError):
        return authority
    if not all(after == before or after.startswith("xn--") for before, after in zip(labels, mapped, strict=True)):
        return authority
    return f"{user}{at}{'.'.join(mapped)}{colon}{port}"
