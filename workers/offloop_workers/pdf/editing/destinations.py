"""Links, named destinations and bookmarks of copied pages: they lead to the copies, or are removed and counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, String

from offloop_workers.pdf.editing.document import copied
from offloop_workers.pdf.reading import trees

_MAX_CHAIN = 20
_LONGEST_VIEW = 6


class Destinations:
    """Destinations of a document that is assembled from others.

    For each source in turn, call `add` after its pages are copied, then `mend` and `items`.
    """

    def __init__(self, pdf: pikepdf.Pdf) -> None:
        self._pdf = pdf
        self._strings: dict[bytes, Any] = {}
        self._names: dict[str, Any] = {}
        self._removed = 0
        self._mended: dict[tuple[int, int], tuple[Any, bool]] = {}

    def add(
        self,
        source: pikepdf.Pdf,
        pages: Sequence[pikepdf.Page],
        old: Sequence[pikepdf.Page],
        new: Sequence[pikepdf.Page],
    ) -> None:
        """Copy the names that lead to copied pages; names already used get another one.

        Args:
            source: the document that the pages were copied from.
            pages: all its pages.
            old: the pages that were copied.
            new: their copies.
        """
        self._source, self._pages = source, pages
        self._copies: dict[tuple[int, int], pikepdf.Page] = {}
        for before, after in zip(old, new, strict=True):
            self._copies.setdefault(before.obj.objgen, after)
        self._targets = {page.obj.objgen for page in new}
        self._found = trees.names(source, "/Dests")
        legacy = source.Root.get("/Dests")
        keys: list[bytes | str] = [
            *self._found,
            *(trees.readable_keys(legacy) if isinstance(legacy, Dictionary) else ()),
        ]
        self._current: dict[bytes | str, bytes | str] = {}
        used: set[bytes | str] = {*self._strings, *self._names}
        taken = used | set(keys)
        for key in keys:
            if array := self.to_copy(String(key) if isinstance(key, bytes) else Name(key)):
                current = self._current[key] = _another(key, taken) if key in used else key
                taken.add(current)
                if isinstance(current, bytes):
                    self._strings[current] = array
                else:
                    self._names[current] = array

    def mend(self, page: pikepdf.Page) -> int:
        """Let the links and actions of a copied page lead to copies; returns how many were removed instead."""
        self._removed = 0
        self._mend_actions(page.obj, ())
        kept = [note for note in trees.page_annotations(page) if self._once(note, self._mended_note) is not None]
        if self._removed:
            page.obj.Annots = Array(kept)
        return self._removed

    def _once(self, node: Any, mend: Callable[[Any], Any]) -> Any:
        """Mend a node and return the rest of it; one that several places share is changed once and counted at each."""
        if not node.is_indirect:
            return mend(node)
        number = node.objgen
        if number in self._mended:
            left, removed = self._mended[number]
            self._removed += removed  # one at most, since chains of shared actions would multiply
            return left
        before = self._removed
        self._mended[number] = None, False  # a chain of actions that runs in a circle ends here
        left = mend(node)
        self._mended[number] = left, self._removed > before
        return left

    def _mended_note(self, note: Any) -> Any:
        before = self._removed
        if "/Dest" in note:
            old = note["/Dest"]
            target = self._current_target(old)
            self._removed += target is None
            _replace(note, "/Dest", old, target)
        self._mend_actions(note, ("/A", "/PA"))
        is_dead = self._removed > before and note.get("/Subtype") == Name.Link
        return note if not is_dead or "/A" in note or "/Dest" in note else None

    def items(self, found: Sequence[trees.Item], lost: set[tuple[int, int]]) -> list[pikepdf.OutlineItem]:
        """The bookmarks that lead to copied pages or elsewhere, and the parents of such bookmarks.

        Args:
            found: bookmarks of the source.
            lost: takes the numbers of those whose target is not copied.
        """
        kept = []
        for item in found:
            children = self.items(item.children, lost)
            target = self.to_copy(item.target)
            action = self._action_of(item)
            leads, led = target is not None or action is not None, "/Dest" in item.node or "/A" in item.node
            if led and not leads:
                lost.add(item.node.objgen)
            if not leads and not children and (led or item.children):
                continue
            title = item.node.get("/Title")
            own = pikepdf.OutlineItem(
                str(title) if isinstance(title, String) else "",
                target,
                action=action,
                color=_color(item.node),
                flags=_flags(item.node),
            )
            own.is_closed = item.closed
            own.children.extend(children)
            kept.append(own)
        return kept

    def write(self) -> None:
        """Write the names to the new document."""
        if self._strings:
            if "/Names" not in self._pdf.Root:
                self._pdf.Root.Names = self._pdf.make_indirect(Dictionary())
            self._pdf.Root.Names.Dests = trees.name_tree(self._pdf, self._strings)
        if self._names:
            self._pdf.Root.Dests = self._pdf.make_indirect(Dictionary(self._names))

    def to_copy(self, target: Any) -> Array | None:
        """The explicit destination in the new document for a target in the source, or None."""
        explicit = trees.destination(self._source, target, self._found)
        found = trees.target_page(explicit, self._pages) if explicit is not None else None
        page = self._copies.get(found.objgen) if found is not None else None
        return _with_view(page, explicit) if page is not None and explicit is not None else None

    def _current_target(self, target: Any) -> Any:
        """A target that was copied with its page, as it is right in the new document; None where it leads nowhere."""
        if isinstance(target, String):
            key: bytes | str = bytes(target)
            string = self._current.get(key)
            return target if string == key else None if string is None else String(string)
        if isinstance(target, Name):
            name = self._current.get(str(target))
            return None if name is None else Name(str(name))
        if not isinstance(target, Array) or not len(target):
            return None
        first: Any = target[0]
        if isinstance(first, int):
            return self.to_copy(target)  # an index, which only links to other files should use
        if isinstance(first, Dictionary) and first.objgen not in self._targets:
            first = first.get("/Pg")
            if isinstance(first, Dictionary):
                target[0] = first
        return target if isinstance(first, Dictionary) and first.objgen in self._targets else None

    def _mend_actions(self, holder: Any, keys: Sequence[str]) -> None:
        if isinstance(extra := holder.get("/AA"), Dictionary):
            self._once(extra, lambda one: self._mend_entries(one, trees.readable_keys(one)))
        self._mend_entries(holder, [key for key in keys if key in holder])

    def _mend_entries(self, holder: Any, keys: Sequence[str]) -> None:
        for key in keys:
            action = holder[key]
            _replace(holder, key, action, self.action(action))

    def action(self, action: Any, depth: int = 0) -> Any:
        """An action that was copied, without the parts that lead nowhere; None where nothing is left of it."""
        if not isinstance(action, Dictionary) or depth > _MAX_CHAIN:
            return action
        return self._once(action, lambda one: self._mended_action(one, depth))

    def _mended_action(self, action: Any, depth: int) -> Any:
        following = _next(action)
        kept = [left for one in following if (left := self.action(one, depth + 1)) is not None]
        if following:
            _set_next(action, kept)
        match str(action.get("/S")):
            case "/GoTo":
                if "/SD" in action:
                    del action["/SD"]  # an element of the structure tree, which is not copied
                target = action.get("/D")
                if (current := self._current_target(target)) is not None:
                    _replace(action, "/D", target, current)
                    return action
            case "/Thread":
                pass
            case _:
                return action
        self._removed += 1
        if len(kept) > 1:
            _set_next(kept[0], [*_next(kept[0]), *kept[1:]])
        return kept[0] if kept else None

    def _action_of(self, item: trees.Item) -> Any:
        """The action of a bookmark that leads to no page of its document, such as a link to the web."""
        action = item.node.get("/A")
        if item.target is not None or not isinstance(action, Dictionary):
            return None
        return self.action(copied(self._pdf, self._source, action))


def _replace(holder: Any, key: str, old: Any, new: Any) -> None:
    if new is None:
        del holder[key]
    elif new is not old:
        holder[key] = new


def _next(action: Any) -> list[Any]:
    following = action.get("/Next")
    return list(following) if isinstance(following, Array) else [] if following is None else [following]


def _set_next(action: Any, following: Sequence[Any]) -> None:
    if following:
        action.Next = following[0] if len(following) == 1 else Array(following)
    elif "/Next" in action:
        del action["/Next"]


def _with_view(page: pikepdf.Page, target: Array) -> Array:
    view = [
        Name(str(value)) if isinstance(value, Name) else value
        for value in list(target)[1:_LONGEST_VIEW]
        if not isinstance(value, (Array, Dictionary))
    ]
    return Array([page.obj, *view])


def _color(node: Any) -> tuple[float, float, float] | None:
    color = node.get("/C")
    if not isinstance(color, Array) or len(color) != 3:  # noqa: PLR2004 -- red, green, blue
        return None
    try:
        red, green, blue = (min(max(float(value), 0.0), 1.0) for value in list(color))
    except (TypeError, ValueError):
        return None
    return red, green, blue


def _flags(node: Any) -> pikepdf.OutlineItemFlag:
    flags = node.get("/F")
    return pikepdf.OutlineItemFlag(flags & 3 if isinstance(flags, int) else 0)


def _another(key: bytes | str, taken: set[bytes | str]) -> bytes | str:
    number = 2
    while True:
        found = key + f".{number}".encode() if isinstance(key, bytes) else f"{key}.{number}"
        if found not in taken:
            return found
        number += 1
