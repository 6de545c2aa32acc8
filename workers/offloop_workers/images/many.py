"""Many pictures in one job: one that cannot be used is noted, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from offloop.errors import JobError
from offloop.jobs.images import Failure
from offloop.kinds.context import Context
from offloop.kinds.references import FileReference
from offloop_workers.images import formats, reading

ResultT = TypeVar("ResultT")


def look_at(
    images: Sequence[FileReference], see: Callable[[int, reading.Source], ResultT], context: Context
) -> tuple[dict[int, ResultT], list[Failure]]:
    """Open each picture in turn and keep what is seen of it, by its place in the list.

    Raises:
        JobError: ``no_image``: not one of them could be used.
    """
    found: dict[int, ResultT] = {}
    failed: list[Failure] = []
    for index, reference in enumerate(images):
        context.progress(index, len(images), f"picture {index + 1} of {len(images)}")
        try:
            with reading.opened(reference, context) as source, reading.decoding():
                found[index] = see(index, source)
        except JobError as error:
            shown = formats.shortened(reference)
            failed.append(Failure(index=index, file=shown, code=error.reason, message=error.message[:300]))
    if not found:
        message = f"None of the {len(images)} pictures can be used. The first: {failed[0].message}"
        raise JobError(message, code="no_image")
    if failed:
        context.warn(f"{len(failed)} of {len(images)} pictures could not be used; see failed in the output.")
    return found, failed
