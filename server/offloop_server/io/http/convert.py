"""HTML to Markdown or plain text: a program of its own, so that it can be killed, and its memory capped.

Frames on standard input and output: four bytes of length, then the bytes. A request begins with one letter, ``m`` for
Markdown or ``t`` for text; the rest is HTML in UTF-8.
"""

from __future__ import annotations

import contextlib
import re
import resource
import sys
from typing import BinaryIO, Final

from bs4 import BeautifulSoup, ParserRejectedMarkup
from markdownify import MarkdownConverter

MEMORY: Final = 1 << 30
_UNSEEN: Final = ["script", "style", "noscript", "template", "iframe", "object", "svg", "canvas", "head", "title"]


def converted(request: bytes) -> str:
    """The readable part of a page."""
    page = _parsed(request[1:].decode("utf-8", "replace"))
    title = page.title.get_text(" ", strip=True)[:300] if page.title else ""
    for unseen in page(_UNSEEN):
        unseen.decompose()
    text = ""
    if request[:1] == b"m":
        # A page nested deeper than Python's stack is read as text.
        with contextlib.suppress(RecursionError):
            text = MarkdownConverter(heading_style="ATX").convert_soup(page)
    text = text or page.get_text("\n", strip=True)
    text = re.sub(r"[ \t]+\n", "\n", text)
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    return f"# {title}\n\n{text}" if title and request[:1] == b"m" and title not in text[:1000] else text


def _parsed(html: str) -> BeautifulSoup:
    try:
        return BeautifulSoup(html, "html.parser")
    except ParserRejectedMarkup:  # of a marked section with an unknown keyword: it is read as text
        return BeautifulSoup(html.replace("<![", "&lt;!["), "html.parser")


def main() -> None:
    """Answer requests until there are no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if sys.platform == "linux" and (soft == resource.RLIM_INFINITY or soft > MEMORY):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))
    while (request := _frame(sys.stdin.buffer)) is not None:
        answer = converted(request).encode("utf-8", "replace")
        sys.stdout.buffer.write(len(answer).to_bytes(4) + answer)
        sys.stdout.buffer.flush()


def _frame(file: BinaryIO) -> bytes | None:
    length = file.read(4)
    return file.read(int.from_bytes(length)) if len(length) == 4 else None  # noqa: PLR2004 -- the bytes of a length


if __name__ == "__main__":
    main()
