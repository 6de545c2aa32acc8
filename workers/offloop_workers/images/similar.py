"""Near-duplicates: pictures whose fingerprints differ in few bits, in groups."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from offloop.jobs.images import ImagesToCompare, Likeness, Similar, find_similar_images
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop.kinds.references import FileReference
from offloop_workers.images import fingerprints, formats, metadata, reading, thumbnails
from offloop_workers.images.many import look_at

_LOOKED_AT = (96, 96)


@dataclass(frozen=True, slots=True)
class _Seen:
    print: fingerprints.Fingerprint
    size: tuple[int, int]
    length: int
    digest: str


@performs(find_similar_images)
def find_similar(request: ImagesToCompare, context: Context) -> Similar:
    """Look at each picture once, then compare all with all.

    Raises:
        JobError: not one of them can be used.
    """

    def see(index: int, source: reading.Source) -> _Seen:
        exif = metadata.exif_of(source.picture, context)
        size = thumbnails.upright_size(source.picture, exif)
        small = thumbnails.thumbnail(source, exif, _LOOKED_AT, context)
        with context.open(request.images[index]) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        return _Seen(fingerprints.fingerprint(small), size, source.bytes, digest)

    seen, failed = look_at(request.images, see, context)
    groups = _grouped(seen, request.max_distance)
    return Similar(
        groups=[_told(group, seen, request.images) for group in groups],
        compared=len(seen),
        unique=len(seen) - sum(map(len, groups)),
        failed=failed,
    )


def _grouped(seen: dict[int, _Seen], most: int) -> list[list[int]]:
    """Whoever resembles somebody of a group belongs to it."""
    group_of = {index: index for index in seen}

    def root(index: int) -> int:
        while group_of[index] != index:
            group_of[index] = group_of[group_of[index]]
            index = group_of[index]
        return index

    known = list(seen.items())
    for place, (index, one) in enumerate(known):
        for other_index, other in known[:place]:
            if one.digest == other.digest or one.print.distance(other.print) <= most:
                group_of[root(index)] = root(other_index)
    groups: dict[int, list[int]] = {}
    for index in seen:
        groups.setdefault(root(index), []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def _told(group: list[int], seen: dict[int, _Seen], images: list[FileReference]) -> list[Likeness]:
    """The group with its largest picture first; the others by their distance to it."""
    first = max(group, key=lambda index: (seen[index].size[0] * seen[index].size[1], seen[index].length, -index))
    likenesses = [
        Likeness(
            index=index,
            file=formats.shortened(images[index]),
            width=seen[index].size[0],
            height=seen[index].size[1],
            size=seen[index].length,
            distance=seen[index].print.distance(seen[first].print),
            identical=seen[index].digest == seen[first].digest,
        )
        for index in group
    ]
    return sorted(likenesses, key=lambda likeness: (likeness.index != first, likeness.distance, likeness.index))
