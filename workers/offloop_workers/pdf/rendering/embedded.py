"""Embedded content of a page: pictures that load lazily or in several sizes, elements that have no form on paper."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from offloop.kinds.context import Context

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_LAZY: Final = ("data-src", "data-original", "data-lazy-src", "data-lazy")
_LAZY_SETS: Final = ("srcset", "data-srcset", "data-lazy-srcset")
_NO_PAPER: Final = frozenset({"iframe", "frame", "video", "audio", "canvas", "applet"})
_MATHML: Final = "{http://www.w3.org/1998/Math/MathML}math"
# A URL may have commas, but does not end with one.
_CANDIDATE = re.compile(r"\s*(data:\S+|[^\s,]\S*[^\s,]|[^\s,])(?:\s+([\d.]+)[wx])?\s*(?:,|$)")


def settle(root: Element, serves: Callable[[str], bool], context: Context) -> None:
    """Give each ``img`` the source that can be loaded, and warn of what is not shown.

    Args:
        root: the document, which is changed.
        serves: whether a URL is an asset or ``data:``.
        context: takes warnings.
    """
    left_out: Counter[str] = Counter()
    for element in root.iter():
        if element.tag == "picture":
            sources = [url for source in element.iter("source") for url in _candidates(source)]
            for picture in element.iter("img"):
                _choose(picture, [*_own(picture), *sources], serves)
        elif element.tag == "img":
            _choose(element, _own(element), serves)
            if not element.get("src"):
                left_out["img without src"] += 1
        elif element.tag in _NO_PAPER:
            left_out[element.tag] += 1
        elif element.tag == _MATHML:
            left_out["math (MathML; its text stays, in one line)"] += 1
    if left_out:
        names = ", ".join(f"{name} ({count}x)" if count > 1 else name for name, count in left_out.most_common())
        context.warn(f"Elements that have no form on paper were left out: {names}. Replace them by pictures or text.")


def _choose(picture: Element, others: list[str], serves: Callable[[str], bool]) -> None:
    source = (picture.get("src") or "").strip()
    lazy = next(filter(None, (picture.get(name) for name in _LAZY)), "")
    if lazy and (not source or source[:5].lower() == "data:"):
        picture.set("src", lazy)
    elif not source or not serves(source):
        # What is not there stays named, so that the warning about it is that of the document's own source.
        found = next(filter(serves, others), "" if source else next(iter(others), ""))
        if found:
            picture.set("src", found)


def _own(picture: Element) -> list[str]:
    return [*filter(None, (picture.get(name) for name in _LAZY)), *_candidates(picture)]


def _candidates(element: Element) -> list[str]:
    """The URLs of a ``srcset``, the largest picture first."""
    found = [
        (float(match[2] or 1), match[1])
        for name in _LAZY_SETS
        for match in _CANDIDATE.finditer(element.get(name) or "")
        if (match[2] or "1").count(".") <= 1 and match[2] != "."
    ]
    return [url for _, url in sorted(found, key=lambda pair: -pair[0])]
