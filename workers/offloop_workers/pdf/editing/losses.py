"""Losses of a step: what copied pages cannot keep, counted by document and reported when the step ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from offloop.kinds.context import Context
from offloop_workers.pdf.editing.document import Document
from offloop_workers.pdf.reading.ranges import summary

_MAX_LISTED = 5


@dataclass(slots=True)
class _Loss:
    """Losses of one document; pages are numbers in the source."""

    links: Counter[int] = field(default_factory=Counter)
    bookmarks: list[set[tuple[int, int]]] = field(default_factory=list)
    entries: dict[str, None] = field(default_factory=dict)
    claims: dict[str, None] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    scripts: bool = False
    tagged: bool = False
    described: bool = False


class Losses:
    """Losses of a step by document; documents may have the same title."""

    def __init__(self) -> None:
        self._all: dict[int, tuple[str, _Loss]] = {}

    def of(self, document: Document) -> _Loss:
        """The losses of a document, to be added to."""
        return self._all.setdefault(id(document), (document.title, _Loss()))[1]

    def report(self, context: Context) -> None:
        """Warn of each loss, once for all documents made of the same source."""
        for title, loss in self._all.values():
            for message in (_links(loss), _bookmarks(loss), _entries(loss), _renamed(loss)):
                context.warn(f"{title!r}: {message}" if message else "")
        if described := [title for title, loss in self._all.values() if loss.described]:
            context.warn(
                f"Author, subject and keywords of {_listed(described)} were dropped: the result has those of the first "
                "file. Set others with {'op': 'metadata'}."
            )
        if tagged := [title for title, loss in self._all.values() if loss.tagged]:
            context.warn(
                f"The tags for readers with disabilities (PDF/UA) of {_listed(tagged)} were lost: they describe whole "
                "documents, and these pages are now part of another."
            )
        if claims := list(dict.fromkeys(claim for _, loss in self._all.values() for claim in loss.claims)):
            context.warn(
                f"The result no longer claims {', '.join(claims)}: it was put together anew and not validated."
            )
        if len(scripts := [title for title, loss in self._all.values() if loss.scripts]) > 1:
            context.warn(
                f"{_listed(scripts)} have scripts of their own: functions of the same name replace each other. Check "
                "calculated fields, or remove all scripts with {'op': 'sanitise'}."
            )


def _links(loss: _Loss) -> str:
    count, pages = loss.links.total(), sorted(loss.links)
    if not count:
        return ""
    which = "link" if count == 1 else "links"
    where = f"page{'' if len(pages) == 1 else 's'} {summary(pages)}"
    verb = "was removed: it leads" if count == 1 else "were removed: they lead"
    return f"{count} {which} on {where} {verb} to pages or places that are not in the result."


def _bookmarks(loss: _Loss) -> str:
    count = len(set.intersection(*loss.bookmarks)) if loss.bookmarks else 0
    verb = "bookmark leads" if count == 1 else "bookmarks lead"
    return f"{count} {verb} to pages that are not in the result: left out, or kept as headings." if count else ""


def _entries(loss: _Loss) -> str:
    return f"the result does not keep {', '.join(list(loss.entries)[:20])}." if loss.entries else ""


def _renamed(loss: _Loss) -> str:
    if not loss.renamed:
        return ""
    some = ", ".join(f"{old!r} is now {new!r}" for old, new in list(loss.renamed.items())[:_MAX_LISTED])
    more = f" and {len(loss.renamed) - _MAX_LISTED} more" if len(loss.renamed) > _MAX_LISTED else ""
    scripts = " Its scripts still use the old names." if loss.scripts else ""
    return f"form fields were renamed, since another file has fields of the same names: {some}{more}.{scripts}"


def _listed(titles: list[str]) -> str:
    some = ", ".join(map(repr, titles[:_MAX_LISTED]))
    return f"{some} and {len(titles) - _MAX_LISTED} more" if len(titles) > _MAX_LISTED else some
