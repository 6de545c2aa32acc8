"""Page ranges such as ``1-3,7,-1,odd``."""

from __future__ import annotations

import re

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.documents import MAX_PAGES
from offloop.kinds.context import Context

_PART = re.compile(r"(?P<first>-?\d{1,12})(?:(?P<to>-)(?P<last>-?\d{1,12})?)?")
_HINT = "Write page numbers such as '1-3,7,-1' (-1 is the last page), '5-', 'odd', 'even' or 'all'."


def pages(text: str, count: int, context: Context) -> list[int]:
    """Parse page ranges to indices from 0, in their order and with repetitions.

    Args:
        text: numbers and ranges, separated by commas; a range may be descending.
        count: pages of the document.
        context: its limits bound the number of pages.

    Raises:
        JobError: ``bad_input``: the text is malformed, or contains a page that does not exist.
        LimitExceeded: it contains more pages than the kind handles.
    """
    most = context.limits.pages or MAX_PAGES
    found: list[int] = []
    for part in text.lower().split(","):
        found += _part(part.strip(), count)
        if len(found) > most:
            message = f"The page ranges name more than {most:,} pages, the most of one document: ask for fewer."
            raise LimitExceeded(message)
    return found


def summary(numbers: list[int]) -> str:
    """Page numbers as a short text such as ``1-3, 7``, cut after ten runs."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    text = ", ".join(f"{first}-{last}" if last > first else f"{first}" for first, last in runs[:10])
    return f"{text} and more" if len(runs) > 10 else text  # noqa: PLR2004 -- as many as fit a sentence


def _part(part: str, count: int) -> list[int]:
    match part:
        case "all":
            return list(range(count))
        case "odd":
            return list(range(0, count, 2))
        case "even":
            return list(range(1, count, 2))
    found = _PART.fullmatch(part)
    if not found:
        message = f"{part[:40]!r} is no page range. {_HINT}"
        raise JobError(message, code="bad_input")
    first = _index(found["first"], count)
    if not found["to"]:
        return [first]
    last = _index(found["last"], count) if found["last"] else count - 1
    return list(range(first, last + 1)) if first <= last else list(range(first, last - 1, -1))


def _index(number: str, count: int) -> int:
    value = int(number)
    index = value - 1 if value > 0 else count + value
    if value == 0 or not 0 <= index < count:
        message = f"There is no page {number}: the document has {count:,}. {_HINT}"
        raise JobError(message, code="bad_input")
    return index
