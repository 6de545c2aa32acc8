"""One run of inline content: white space collapsed as CSS does, marks set where Markdown sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from offloop_server.io.http.readable.escaping import (
    collapsed,
    escaped,
    escaped_label,
    escaped_start,
    is_punctuation,
    is_wide,
)

_BREAK: Final = "  \n"
_ELEMENTS: Final = {"**": "b", "*": "i", "~~": "s"}
"""Elements for emphasis at places where Markdown sees no mark, as in ``a**(b)**c``."""


@dataclass(slots=True)
class Mark:
    """Something around inline content.

    Attributes:
        before: what opens it.
        after: what closes it.
        link: whether it is a link: it is not opened again in the next block.
        opened: index of its opening piece in the run; None while it waits for content.
        closed: the same of its closing piece.
        used: whether it ever had content.
    """

    before: str
    after: str
    link: bool = False
    opened: int | None = None
    closed: int | None = None
    used: bool = False

    @property
    def emphasis(self) -> bool:
        """Whether it is written with characters whose neighbours matter."""
        return self.before in _ELEMENTS

    @property
    def waits(self) -> bool:
        """Whether the next content opens it."""
        return self.opened is None and not (self.link and self.used)


class Inline:
    """A run of inline content that is being written.

    Args:
        markdown: whether marks are set and text is escaped.
    """

    def __init__(self, *, markdown: bool) -> None:
        self._markdown = markdown
        self._pieces: list[str] = []
        self._space = ""
        self._last = ""
        """The last character of content in this line; none at its start."""
        self._marks: list[Mark] = []
        self._set: list[bool] = []
        """Whether each call of `open` has set a mark."""
        self._waiting = False
        self._ended: list[Mark] = []
        """Emphasis that ended directly before."""

    @property
    def broken(self) -> bool:
        """Whether a line begins, after a break."""
        return bool(self._pieces) and self._pieces[-1] == _BREAK and not self._space

    def lend(self) -> list[Mark]:
        """Links that wait for content, for a run inside."""
        return [mark for mark in self._marks if mark.link and mark.waits]

    def text(self, data: str) -> None:
        """Add text of the page."""
        text = collapsed(data)
        if text[:1] == " ":
            self._space = self._space or _kind_of_space(data, len(data) - len(data.lstrip()), 0)
            text = text[1:]
        if not text:
            return
        space = ""
        if text[-1] == " ":
            text = text[:-1]
            space = _kind_of_space(data, len(data), len(data.rstrip()))
        last, starts = self._last, self._begin(text[0])
        if self._markdown:
            if text[0] == "(" and last == "]" == self._last:
                self._pieces.append("\\")
            text, plain = escaped(text), text
            if starts:
                text = escaped_start(text)
            if any(mark.link for mark in self._marks):
                text = escaped_label(text)
            self._last = plain[-1]
        else:
            self._last = text[-1]
        self._pieces.append(text)
        self._space = space

    def raw(self, piece: str) -> None:
        """Add something that is already as it must be."""
        if piece:
            self._begin(piece[0])
            self._pieces.append(piece)
            self._last = piece[-1]

    def spaced(self) -> None:
        """Separate from the next content, as the border of a control does."""
        self._space = self._space or " "

    def line_break(self) -> None:
        """Break the line."""
        self._pieces.append(_BREAK)
        self._space = self._last = ""
        self._ended.clear()

    def open(self, mark: Mark) -> None:
        """Begin a mark; it is written with its first content, unless it stands in one that is the same."""
        same = any(other.before == mark.before or (other.link and mark.link) for other in self._marks)
        self._set.append(self._markdown and not same)
        if self._set[-1]:
            self._marks.append(mark)
            self._waiting = True

    def close(self) -> bool:
        """End the last mark; returns whether it had content."""
        if not self._set.pop():
            return True
        mark = self._marks.pop()
        self._end(mark)
        return mark.used

    def take(self) -> str:
        """The run so far; marks that are open go on in the next one, but for links."""
        if not self._pieces:
            self._space = ""
            return ""
        for mark in reversed(self._marks):
            self._end(mark)
        for mark in self._marks:
            mark.opened = None
            self._waiting = True
        text = "".join(self._pieces)
        while text.endswith(_BREAK):
            text = text.removesuffix(_BREAK)
        self._pieces.clear()
        self._ended.clear()
        self._space = self._last = ""
        return text.lstrip(" \n") if self._markdown else text.replace(_BREAK, "\n").lstrip("\n")

    def _begin(self, first: str) -> bool:
        """Write what stands before content: space, and the marks that wait for it; returns whether a line starts."""
        starts = not self._last
        if self._space:
            if self._last and not (self._space == "\n" and is_wide(self._last) and is_wide(first)):
                self._pieces.append(" ")
                self._last = " "
                self._ended.clear()
            self._space = ""
        if self._ended:
            if is_punctuation(self._last) and not is_punctuation(first):
                for mark in self._ended:
                    self._as_element(mark)
            if not self._waiting:
                self._ended.clear()
        return not (self._waiting and self._open_waiting(first)) and starts

    def _open_waiting(self, first: str) -> bool:
        waiting = [mark for mark in self._marks if mark.waits]
        self._waiting = False
        beside = bool(self._ended)
        inner = next((mark.before[0] for mark in waiting if not mark.emphasis), first)
        bare = is_punctuation(inner) and bool(self._last) and self._last != " " and not is_punctuation(self._last)
        for mark in waiting:
            if mark.link and self._last == "!" and self._pieces[-1].endswith("!"):
                self._pieces[-1] = self._pieces[-1][:-1] + "\\!"
            mark.opened, mark.closed, mark.used = len(self._pieces), None, True
            self._pieces.append(mark.before)
            if mark.emphasis and (beside or bare):
                self._as_element(mark)
        self._ended.clear()
        return bool(waiting)

    def _end(self, mark: Mark) -> None:
        if mark.opened is None:
            return
        mark.closed = len(self._pieces)
        self._pieces.append(mark.after)
        if self._pieces[mark.closed - 1] == _BREAK:  # a mark that closes after a break would begin a line
            self._pieces[mark.closed - 1 : mark.closed + 1] = [self._pieces[mark.closed], _BREAK]
            mark.closed -= 1
            if self._pieces[mark.opened] != mark.before:
                self._as_element(mark)
        elif not mark.emphasis:
            self._last = mark.after[-1]
            self._ended.clear()
        elif self._pieces[mark.opened] != mark.before:
            self._as_element(mark)
        else:
            self._ended.append(mark)

    def _as_element(self, mark: Mark) -> None:
        """Write emphasis as an element."""
        if mark.opened is None:
            return
        name = _ELEMENTS[mark.before]
        self._pieces[mark.opened] = f"<{name}>"
        if mark.closed is not None:
            self._pieces[mark.closed] = f"</{name}>"


def _kind_of_space(data: str, end: int, start: int) -> str:
    return "\n" if "\n" in data[start:end] else " "
