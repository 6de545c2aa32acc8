"""Losses of a damaged PDF: faults that the library repaired, pages that are missing, pages without their content."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream, String

from offloop.errors import JobError
from offloop.kinds.context import Context
from offloop_workers.pdf.reading import ranges, resources, trees, visible, written
from offloop_workers.pdf.reading.written import LOST, PART, WHOLE

_LIBRARY = re.compile(r"^(?:WARNING: )?stream <[^>]*>[^:]*: ")
_OFFSETS = re.compile(r" ?\((?:object \d+[ ,]\d+)?,? ?(?:offset \d+)?\)")
_REBUILT = "Attempting to reconstruct cross-reference table"
_TOO_LARGE = re.compile("memory limit exceeded|will be re-processed without filtering")
"""A stream that is larger than the library unpacks is copied as it is."""
_ABOUT_CONTENT = re.compile("decoding stream data|may still be valid")
_GENERAL = frozenset({"file is damaged", _REBUILT})
_MOST_RAW = 16 << 20
"""Compressed bytes of one stream that is decoded to see whether it can be."""
_MOST_DECODED = 256 << 20
_JPEG, _JPEG_END, _TAIL = b"\xff\xd8", b"\xff\xd9", 1_024
_BLANK_PAGES = 1_000
"""Pages without content that are looked up in the file: each is a search."""


@dataclass(slots=True)
class Losses:
    """Damage of one open document.

    Attributes:
        pdf: the document.
        data: the bytes of its file.
        name: the document in messages, such as "The PDF".
        declared: number of pages that its page tree states; None without a number.
        missing: entries of the page tree that lead to no page.
        faults: messages of the library about its repairs.
        with_pictures: look at pictures, too.
        pages: its pages; each access by index in the library takes linear time.
    """

    pdf: pikepdf.Pdf
    data: bytes
    name: str
    declared: int | None = None
    missing: int = 0
    faults: list[str] = field(default_factory=list)
    with_pictures: bool = False
    pages: list[pikepdf.Page] = field(init=False, default_factory=list)
    _readable: dict[tuple[int, int], int] = field(default_factory=dict)
    _names: dict[tuple[int, int], frozenset[tuple[str, str]]] = field(default_factory=dict)
    _checked: list[int] = field(default_factory=list)
    _checked_rebuilt: bool = False
    _exact: set[tuple[int, int]] = field(default_factory=set)
    _decoded: int = 0
    _lossy: bool = False
    _looked_up: int = 0
    _written: written.Written | None = None

    def note(self) -> None:
        """Take the warnings that the library has collected since the last call."""
        self.faults += [text for fault in self.pdf.get_warnings() if not _TOO_LARGE.search(text := str(fault))]

    @property
    def rebuilt(self) -> bool:
        """Whether the table of objects was unusable, and the file was searched for them."""
        return any(_REBUILT in fault for fault in self.faults)

    @property
    def found(self) -> int:
        """Number of pages in the page tree."""
        return len(self.pages)

    def check_count(self, context: Context, *, refuse: bool) -> None:
        """Compare the stated number of pages with the page tree.

        Raises:
            JobError: ``damaged_pdf``: most pages are missing, and `refuse` is set.
        """
        declared = self.declared
        if self.rebuilt and isinstance(self.pdf.Root.get("/Pages"), Dictionary):
            # The library has corrected the number while it searched the file.
            declared = self._source().count(self.pdf.Root.Pages.objgen) or declared
        if declared is None or (declared == self.found and not self.missing):
            return
        gone = max(declared - self.found, self.missing, 0)
        if gone and (self.missing or self.rebuilt):
            message = f"{self.name} is damaged or cut off: {gone:,} of its {max(declared, gone):,} pages are missing."
            if refuse and gone > self.found:
                message += f" Send the complete file, or name pages of the {self.found:,} that are left (pages)."
                raise JobError(message, code="damaged_pdf")
            self._lossy = True
            context.warn(f"{message} The numbers of the others may have changed.")
        else:
            context.warn(
                f"{self.name} states {declared:,} {_pages(declared)} and has {self.found:,}: all of them are read."
            )

    def check_pages(self, indices: Sequence[int], context: Context, *, refuse: bool) -> None:
        """Look for pages whose content is lost, wholly or in part.

        Raises:
            JobError: ``damaged_pdf``: most of these pages have lost all content, and `refuse` is set.
        """
        states = {index: self.state(self.pages[index]) for index in dict.fromkeys(indices)}
        self._check_sizes(states, context)
        lost = [index for index in states if states[index] == LOST]
        if refuse and 2 * len(lost) > len(states):
            raise self.refusal(lost, [index for index in states if states[index] != LOST])
        self.tell(lost, [index for index in states if states[index] == PART], context)
        self._checked, self._checked_rebuilt = [index for index in states if index not in lost], self.rebuilt
        self._check_resources(context)

    def _check_resources(self, context: Context) -> None:
        lacking = [index + 1 for index in self._checked if self._lacks(self.pages[index])]
        if lacking:
            self._lossy = True
            context.warn(f"{self.name} lost fonts or pictures of {_pages(len(lacking))} {_summary(lacking)}.")

    def _check_sizes(self, indices: Iterable[int], context: Context) -> None:
        """Give pages without a valid size the one that viewers assume, and warn of them."""
        if numbers := [index + 1 for index in indices if visible.ensure_size(self.pages[index])]:
            context.warn(
                f"{self.name} has no valid size (MediaBox) for {_pages(len(numbers))} {_summary(numbers)}: US Letter "
                "is taken, 216 x 279 mm."
            )

    def check_files(self, context: Context) -> None:
        """Warn of files inside the document that are damaged."""
        damaged = []
        for name, specification in trees.names(self.pdf, "/EmbeddedFiles").items():
            files = specification.get("/EF") if isinstance(specification, Dictionary) else None
            if isinstance(files, Dictionary) and self.stream(files.get("/UF") or files.get("/F")):
                damaged.append(repr((trees.text(specification.get("/UF") or String(name)) or "")[:80]))
        if damaged:
            self._lossy = True
            more = f" and {len(damaged) - 10} more" if damaged[10:] else ""
            context.warn(f"{self.name} has damaged or missing files inside: {', '.join(damaged[:10])}{more}.")

    def tell(self, lost: Sequence[int], part: Sequence[int], context: Context) -> None:
        """Warn of pages, by index, whose content is lost, wholly or in part."""
        for indices, what in ((lost, "all content: nothing is shown there"), (part, "a part of the content")):
            if indices:
                self._lossy = True
                numbers = [index + 1 for index in indices]
                context.warn(f"{self.name} is damaged: {_pages(len(numbers))} {_summary(numbers)} lost {what}.")

    def refusal(self, lost: Sequence[int], left: Sequence[int]) -> JobError:
        """The error where most of the pages asked for are lost."""
        numbers = [index + 1 for index in lost]
        message = f"{self.name} is damaged or cut off: {_pages(len(lost))} {_summary(numbers)} lost all content."
        rest = _summary([index + 1 for index in left])
        if rest and "more" not in rest:
            message += f" To go on without them: pages={rest!r}."
        return JobError(f"{message} Send the complete file.", code="damaged_pdf")

    def report(self, context: Context) -> None:
        """Warn of the library's repairs, in one line."""
        self.note()
        reasons = list(dict.fromkeys(filter(None, map(_plain, self.faults))))
        if not self.faults:
            return
        if self.rebuilt and not self._checked_rebuilt:
            self._check_resources(context)  # the library found only afterwards that the table is wrong
        details = f"{'; '.join(reasons[:2])}{f'; and {len(reasons) - 2} more' if len(reasons) > 2 else ''}"  # noqa: PLR2004 -- as above
        details = f" ({details})" if details else ""
        if self.rebuilt:
            end = "Objects are missing." if self._lossy else "No loss was found in the pages that were used."
            context.warn(f"{self.name} is damaged: its table of objects was rebuilt{details}. {end}")
        else:
            context.warn(f"{self.name} has faults that were repaired{details}.")

    def state(self, page: pikepdf.Page) -> int:
        """0 where the content of a page can be read, 1 where a part is lost, 2 where all is."""
        streams = _contents(page)
        states = [self.stream(one) for one in streams]
        lost = self._dangling(page) if (not streams or self.rebuilt) else 0
        if not states or all(state == LOST for state in states):
            return LOST if states or lost else WHOLE
        pieces = [self._piece(piece) for piece in resources.drawn(page)]
        nothing = all(piece == LOST for piece in pieces) if pieces else self.rebuilt and self._lacks(page)
        if nothing and not resources.has_fonts(page) and not any(map(_sets_a_font, streams)):
            return LOST
        return PART if any(states) or any(pieces) or lost else WHOLE

    def _piece(self, piece: Stream) -> int:
        """The state of a form or picture; pictures count where the file was rebuilt or is drawn."""
        if piece.get("/Subtype") != Name.Image:
            return self.stream(piece)
        if not (self.rebuilt or self.with_pictures):
            return WHOLE
        known = self._readable.get(piece.objgen)
        if known is None:
            known = self._readable[piece.objgen] = self._picture(piece)
        return known

    def _picture(self, picture: Stream) -> int:
        names = written.filters(picture)
        length: Any = picture.get("/Length")
        if not isinstance(length, int) or length > _MOST_RAW:
            return WHOLE
        if not length:
            return LOST
        if names == ["/DCTDecode"]:
            data = picture.read_raw_bytes()
            return LOST if not data.startswith(_JPEG) else WHOLE if _JPEG_END in data[-_TAIL:] else PART
        return self._decode(picture) if set(names[:1]) <= written.UNPACKED else WHOLE

    def stream(self, stream: Any) -> int:
        """0 where a stream can be decoded, 1 where its end is lost, 2 where all of it is."""
        if not isinstance(stream, Stream):
            return LOST
        known = self._readable.get(stream.objgen)
        if known is None:
            known = self._readable[stream.objgen] = self._decode(stream)
        return known

    def _decode(self, stream: Stream) -> int:
        self.note()
        before = len(self.faults)
        length: Any = stream.get("/Length")
        if (isinstance(length, int) and length > _MOST_RAW) or self._decoded > _MOST_DECODED:
            return WHOLE
        state, size = written.unpacked(stream)
        self._decoded += size
        self.note()
        # The caller hears of these as losses, and of a stream that is too large to be looked at not at all.
        self.faults[before:] = [fault for fault in self.faults[before:] if not _ABOUT_CONTENT.search(fault)]
        return state

    def _dangling(self, page: pikepdf.Page) -> int:
        """The number of content streams that the page names in the file, and that are not there.

        The library drops references to missing objects when it parses a file, so that such a page looks blank.
        """
        self._looked_up += 1
        if self._looked_up > _BLANK_PAGES and not self.rebuilt:
            return 0
        return sum(self.pdf.get_object(one) is None for one in self._source().contents(page.obj.objgen))

    def _lacks(self, page: pikepdf.Page) -> bool:
        """Whether resources are missing that a page uses, or that it names in a rebuilt file."""
        if self.rebuilt and self._source().lacks(page.obj.objgen):
            return True
        return any(self._misses(page, one) for one in _contents(page))

    def _misses(self, page: pikepdf.Page, content: Any) -> bool:
        """Whether content uses fonts or pictures that its page does not have; strings are told apart only then."""
        if all(resources.has(page, *use) for use in self._used(content)):
            return False
        if content.objgen not in self._exact:
            self._exact.add(content.objgen)
            self._names[content.objgen], _ = written.names_used(content, outside_strings=True)
        return not all(resources.has(page, *use) for use in self._used(content))

    def _used(self, content: Any) -> frozenset[tuple[str, str]]:
        if not isinstance(content, Stream) or self._decoded > _MOST_DECODED:
            return frozenset()
        if content.objgen not in self._names:
            self._names[content.objgen], size = written.names_used(content)
            self._decoded += size
        return self._names[content.objgen]

    def _source(self) -> written.Written:
        if self._written is None:
            self._written = written.Written(self.pdf, self.data)
        return self._written


def declared(pdf: pikepdf.Pdf) -> int | None:
    """The number of pages that a page tree states; to be read before the library unfolds the tree."""
    pages = pdf.Root.get("/Pages")
    count: Any = pages.get("/Count") if isinstance(pages, Dictionary) else None
    return count if isinstance(count, int) and 0 <= count < 1 << 31 else None


def _contents(page: pikepdf.Page) -> list[Any]:
    contents: Any = page.obj.get("/Contents")
    return list(contents) if isinstance(contents, Array) else [] if contents is None else [contents]


def _sets_a_font(content: Any) -> bool:
    try:
        return b" Tf" in content.read_bytes()
    except pikepdf.PikepdfError:
        return False


def _plain(fault: str) -> str:
    """The library's words without addresses and offsets; empty for those that say nothing of their own."""
    text = _OFFSETS.sub("", _LIBRARY.sub("", " ".join(fault.split())))
    text = "" if "<" in text or text in _GENERAL else text
    return text[:100]


def _pages(count: int) -> str:
    return "page" if count == 1 else "pages"


def _summary(numbers: Sequence[int]) -> str:
    return ranges.summary(sorted(numbers))
