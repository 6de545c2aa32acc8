"""Addresses of a page: absolute, without scripts, and without the data of data URLs."""

from __future__ import annotations

import contextlib
import re
from functools import lru_cache
from typing import Final
from urllib.parse import urljoin

_BLANKS: Final = "".join(map(chr, range(33)))
_IGNORED: Final = re.compile(r"[\t\n\r]")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_UNSAFE: Final = re.compile(r"[\x00-\x20\"<>\\^`{|}\x7f]")
_SLASHES: Final = re.compile(r"^/{3,}")
_HIERARCHICAL: Final = frozenset({"http", "https", "ftp", "file", "ws", "wss"})
SCRIPTS: Final = frozenset({"javascript", "vbscript", "livescript"})
MAX_URL: Final = 4000


def scheme(address: str) -> str:
    """The scheme of an address as it is written, in lower case; empty where it has none."""
    found = _SCHEME.match(_IGNORED.sub("", address[:500].lstrip(_BLANKS)))
    return found[1].lower() if found else ""


def base_url(url: str, base: str) -> str:
    """The URL that addresses are relative to, by what the base element of a page says; data and scripts are none."""
    try:
        found = urljoin(url, _IGNORED.sub("", base.strip(_BLANKS)))
    except ValueError:
        return url
    return found if scheme(found) in _HIERARCHICAL or not scheme(url) else url


class Addresses:
    """Resolves the addresses of a page.

    Args:
        url: the final URL of the page.
        base: what its base element says; the URL where there is none.
    """

    def __init__(self, url: str, base: str = "") -> None:
        self._here = url.partition("#")[0]
        self._base = (base or url).partition("#")[0]
        self._joined = lru_cache(4096)(self._join)

    def resolve(self, address: str) -> str:
        """An absolute URL; ``#part`` where it is a part of this page, empty where it leads nowhere.

        Data URLs are described instead, as ``data:image/png, 25 kB left out``.
        """
        address = address.strip(_BLANKS)
        kind = scheme(address)
        if kind == "data":
            return described_data(address)
        if kind in SCRIPTS or kind in ("about", "blob") or len(address) > MAX_URL:
            return ""
        return self._joined(address, kind)

    def _join(self, address: str, kind: str) -> str:
        address = _IGNORED.sub("", address)
        path, mark, part = address.partition("#")
        if not kind or kind in _HIERARCHICAL:
            path = path.replace("\\", "/")
            with contextlib.suppress(ValueError):
                path = urljoin(self._base, _SLASHES.sub("//", path)) if path else self._base
        if mark and path == self._here:
            path = ""
        return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", path + mark + part)


def described_data(address: str) -> str:
    """A data URL without its data."""
    head, _, data = address.partition(",")
    kind, *parameters = _IGNORED.sub("", head)[5:105].split(";")
    packed = any(parameter.strip().lower() == "base64" for parameter in parameters)
    size = len(data) * 3 // 4 - data.count("=", -2) if packed else len(data)
    return f"data:{kind.strip() or 'text/plain'}, {_size(size)} left out"


def destination(url: str) -> str:
    """A URL as the destination of a link: parentheses in it are in pairs, or escaped."""
    depth = 0
    for character in url if "(" in url or ")" in url else "":
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
    return url.replace("(", "%28").replace(")", "%29") if depth else url


def _size(size: int) -> str:
    if size < 1000:  # noqa: PLR2004 -- the steps of units
        return f"{size} bytes"
    return f"{size / 1000:.0f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"  # noqa: PLR2004
