"""Pages to Markdown or plain text: a program of its own, so that it can be killed, and its memory capped.

A request is two frames on standard input: ``{"to", "kind", "url"}`` in JSON, and the page in UTF-8. An answer is two
frames on standard output: ``{"page", "notes", "refresh"}`` in JSON, and the text in UTF-8. A frame is four bytes of
length and the bytes.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import BinaryIO, Final

from offloop_server.io.http.readable.document import Readable, Source, readable
from offloop_server.io.http.readable.walk import MAX_DEPTH

MEMORY: Final = 1 << 30
FRAMES: Final = 16 * MAX_DEPTH
"""Frames of Python for the deepest page; they are on the heap."""
_SAMPLES: Final[tuple[tuple[Source, str], ...]] = (
    ("html", "<meta http-equiv=refresh content='9;url=a'><table><tr><th>a<td>b</table>"),
    ("xml", "<rss version='2.0'><channel><item><description>a</description></item></channel></rss>"),
)


def main() -> None:
    """Answer requests until there are no more."""
    sys.setrecursionlimit(FRAMES)
    confine()
    while (request := _frame(sys.stdin.buffer)) is not None:
        page = _frame(sys.stdin.buffer) or b""
        asked = json.loads(request)
        _answer(readable(page.decode("utf-8", "replace"), asked["to"], asked["kind"], asked["url"]))


def confine() -> None:
    """Limit this process to memory and its pipes: the parser of foreign pages is C, and a fault of it opens nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if sys.platform == "linux" and (soft == resource.RLIM_INFINITY or soft > MEMORY):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))
    for kind, source in _SAMPLES:  # loads what is loaded on first use, while files can be opened
        readable(source, "markdown", kind, "http://h/")
    for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(limit, (0, 0))


def _answer(found: Readable) -> None:
    head = {"page": found.text is not None, "notes": found.notes, "refresh": found.refresh}
    for part in (json.dumps(head).encode(), (found.text or "").encode("utf-8", "replace")):
        sys.stdout.buffer.write(len(part).to_bytes(4) + part)
    sys.stdout.buffer.flush()


def _frame(file: BinaryIO) -> bytes | None:
    length = file.read(4)
    return file.read(int.from_bytes(length)) if len(length) == 4 else None  # noqa: PLR2004 -- the bytes of a length


if __name__ == "__main__":
    main()
