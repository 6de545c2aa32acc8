"""Near-duplicates (find_similar_images): groups of pictures whose fingerprints differ in few bits."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import combinations

from offloop.jobs.images import ImagesToCompare, Likeness, Similar, find_similar_images
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop.kinds.references import FileReference
from offloop_workers.images import fingerprints
from offloop_workers.images.codecs import formats
from offloop_workers.images.many import inspect_all
from offloop_workers.raster import orientation, reading
from offloop_workers.raster.upright import upright
from offloop_workers.raster.warned import Warned

_SAMPLE = (96, 96)


@dataclass(frozen=True, slots=True)
class _Inspected:
    fingerprint: fingerprints.Fingerprint
    size: tuple[int, int]
    bytes: int
    digest: str


@performs(find_similar_images)
def find_similar(request: ImagesToCompare, context: Context) -> Similar:
    """Fingerprint each picture, then compare every pair.

    Raises:
        JobError: none of the pictures can be used.
    """

    def inspect(index: int, source: reading.Source, warned: Warned) -> _Inspected:
        found = orientation.read(source.picture, warned)
        small = upright(source, found, _SAMPLE, warned)
        with context.open(request.images[index]) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        return _Inspected(fingerprints.fingerprint(small), found.upright_size, source.bytes, digest)

    inspected, failed = inspect_all(request.images, inspect, context)
    groups = _groups(inspected, request.max_distance)
    return Similar(
        groups=[_likenesses(group, inspected, request.images) for group in groups],
        compared=len(inspected),
        unique=len(inspected) - sum(map(len, groups)),
        failed=failed,
    )


def _groups(inspected: dict[int, _Inspected], most: int) -> list[list[int]]:
    """Connected components of similar pictures (union-find), of two or more each."""
    group_of = {index: index for index in inspected}

    def root(index: int) -> int:
        while group_of[index] != index:
            group_of[index] = group_of[group_of[index]]
            index = group_of[index]
        return index

    for (other_index, other), (index, one) in combinations(inspected.items(), 2):
        if one.digest == other.digest or one.fingerprint.distance(other.fingerprint) <= most:
            group_of[root(index)] = root(other_index)
    groups: dict[int, list[int]] = {}
    for index in inspected:
        groups.setdefault(root(index), []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def _likenesses(group: list[int], inspected: dict[int, _Inspected], images: list[FileReference]) -> list[Likeness]:
    """The pictures of a group: the largest first, the others by their distance to it."""

    def largest(index: int) -> tuple[int, int, int]:
        width, height = inspected[index].size
        return width * height, inspected[index].bytes, -index

    first = max(group, key=largest)
    likenesses = [
        Likeness(
            index=index,
            file=formats.shortened(images[index]),
            width=inspected[index].size[0],
            height=inspected[index].size[1],
            size=inspected[index].bytes,
            distance=inspected[index].fingerprint.distance(inspected[first].fingerprint),
            identical=inspected[index].digest == inspected[first].digest,
        )
        for index in group
    ]
    return sorted(likenesses, key=lambda likeness: (likeness.index != first, likeness.distance, likeness.index))
