"""Jobs over many pictures: a picture that cannot be used is recorded, and the others are processed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from offloop.errors import JobError
from offloop.jobs.images import Failure
from offloop.kinds.context import Context
from offloop.kinds.references import FileReference
from offloop_workers.images.codecs import formats
from offloop_workers.raster import frames, reading
from offloop_workers.raster.warned import Named, Warned

ResultT = TypeVar("ResultT")


def inspect_all(
    images: Sequence[FileReference], inspect: Callable[[int, reading.Source, Warned], ResultT], context: Context
) -> tuple[dict[int, ResultT], list[Failure]]:
    """Open each picture and inspect it.

    Args:
        images: the pictures.
        inspect: called with the index of a picture, the open picture, and what takes its warnings.
        context: opens the pictures, takes progress and a warning.

    Returns:
        The results by index, and the pictures that could not be used.

    Raises:
        JobError: ``no_image``: none of the pictures can be used.
    """
    found: dict[int, ResultT] = {}
    failed: list[Failure] = []
    for index, reference in enumerate(images):
        context.progress(index, len(images), f"picture {index + 1} of {len(images)}")
        try:
            with reading.opened(reference, context) as source, reading.decoding():
                warned = Named(f"Picture {index + 1} ({formats.shortened(reference)})", context)
                frames.warn_of_others(source, warned)
                found[index] = inspect(index, source, warned)
        except JobError as error:
            file = formats.shortened(reference)
            failed.append(Failure(index=index, file=file, code=error.reason, message=error.message[:300]))
    if not found:
        message = f"None of the {len(images)} pictures can be used. The first: {failed[0].message}"
        raise JobError(message, code="no_image")
    if failed:
        context.warn(f"{len(failed)} of {len(images)} pictures could not be used; see failed in the output.")
    return found, failed
