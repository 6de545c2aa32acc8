"""Duplicate search (find_duplicates): by size, then by both ends, then by the whole content."""

from __future__ import annotations

import io
import os
from collections import defaultdict
from collections.abc import Iterable
from typing import BinaryIO, Final, NamedTuple

from offloop.jobs.files import Trouble
from offloop.jobs.hashing import Duplicates, DuplicatesFound, DuplicatesToFind, find_duplicates
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop_workers.files.progress import ByteProgress
from offloop_workers.files.sources import Openable, source
from offloop_workers.files.walk import Found, Listing, printable
from offloop_workers.hashing.manifests import own, writing
from offloop_workers.hashing.readers import ReadTask, results
from offloop_workers.hashing.tree import MAX_LISTED, listed, troubles

END: Final = 16 * 1024
"""Bytes at either end that are compared before a file is read as a whole."""

_MAX_PATHS: Final = 20
_ALGORITHM: Final = "blake3"  # the fastest that is collision-resistant


class _Copy(NamedTuple):
    """One file and the names of its hard links."""

    found: Found
    names: list[str]


class _Group(NamedTuple):
    """Files of equal size and digest."""

    digest: bytes
    copies: list[_Copy]

    @property
    def wasted(self) -> int:
        return self.copies[0].found.size * (len(self.copies) - 1)


@performs(find_duplicates)
def find(request: DuplicatesToFind, context: Context) -> DuplicatesFound:
    """Find duplicates in three passes; each reads only the files that the previous one could not tell apart."""
    with source(request, context, request.links) as files:
        listing = listed(files.list(), context)
        problems = troubles(listing, [], [])
        chosen = [found for found in listing.files if found.size >= request.min_size]
        copies = _copies(chosen)
        progress = ByteProgress(context, 0)
        groups = _split(_Ends(files), _by_size(copies), progress, problems, most=2 * END)
        small = [group for group in groups if group.copies[0].found.size <= 2 * END]  # already read as a whole
        large = [group.copies for group in groups if group.copies[0].found.size > 2 * END]
        groups = small + _split(files, large, progress, problems)
    groups.sort(key=lambda group: (-group.wasted, group.copies[0].found.path))
    with context.create("duplicates.json", "application/json") as file:
        writing.lists(file, [("groups", map(_in_report, groups))])
    _warn(listing, chosen, problems, context)
    return DuplicatesFound(
        groups=[_in_answer(group) for group in groups[:MAX_LISTED]],
        groups_total=len(groups),
        wasted=sum(group.wasted for group in groups),
        files=len(chosen),
        bytes_read=progress.done,
        hard_links=len(chosen) - len(copies),
        troubles=problems[:MAX_LISTED],
        troubles_total=len(problems),
    )


def _warn(listing: Listing, chosen: list[Found], problems: list[Trouble], context: Context) -> None:
    if problems:
        context.warn(f"{len(problems)} files or folders could not be read and were not compared; see troubles.")
    if count := listing.skipped["hidden"]:
        context.warn(f"{count:,} hidden names were left out (hidden=false), with all that is in them.")
    if small := len(listing.files) - len(chosen):
        context.warn(f"{small:,} files have fewer bytes than min_size, and were not looked at.")
    if not listing.files:
        context.warn("The folder has no file that was chosen: check it, and include, exclude and hidden.")


class _Ends:
    """Source of the first and last `END` bytes of large files; small files are left whole.

    Args:
        files: the source of the whole files.
    """

    def __init__(self, files: Openable) -> None:
        self._files = files

    def open(self, path: str) -> BinaryIO:
        file = self._files.open(path)
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if size <= 2 * END:
            return file
        with file:
            head = file.read(END)
            file.seek(size - END)
            return io.BytesIO(head + file.read(END))

    def descriptors(self) -> tuple[int, ...]:
        return self._files.descriptors()


def _copies(files: Iterable[Found]) -> list[_Copy]:
    by_identity: dict[tuple[int, int], _Copy] = {}
    for found in files:
        by_identity.setdefault(found.identity, _Copy(found, [])).names.append(found.path)
    return list(by_identity.values())


def _by_size(copies: Iterable[_Copy]) -> list[list[_Copy]]:
    sizes: dict[int, list[_Copy]] = defaultdict(list)
    for copy in copies:
        sizes[copy.found.size].append(copy)
    return [group for group in sizes.values() if len(group) > 1]


def _split(
    files: Openable, groups: list[list[_Copy]], progress: ByteProgress, problems: list[Trouble], most: int | None = None
) -> list[_Group]:
    """Hash the copies of all groups, and regroup them by size and digest."""
    copies = sorted((copy for group in groups for copy in group), key=lambda copy: os.fsencode(copy.found.path))
    tasks = [
        ReadTask(copy.found.path, copy.found.size if most is None else min(copy.found.size, most), (_ALGORITHM,))
        for copy in copies
    ]
    progress.expect(sum(task.size for task in tasks))
    by_digest: dict[tuple[int, bytes], list[_Copy]] = defaultdict(list)
    for copy, result in zip(copies, results(files, tasks, progress), strict=True):
        if isinstance(result, str):
            problems.append(Trouble(path=printable(copy.found.path), reason=result))
        else:
            by_digest[copy.found.size, result[0]].append(copy)
    return [_Group(digest, alike) for (_, digest), alike in by_digest.items() if len(alike) > 1]


def _in_report(group: _Group) -> dict[str, object]:
    return {
        "size": group.copies[0].found.size,
        "wasted": group.wasted,
        _ALGORITHM: group.digest.hex(),
        "copies": [[own.json_path(name) for name in copy.names] for copy in group.copies],
    }


def _in_answer(group: _Group) -> Duplicates:
    names = [name for copy in group.copies for name in copy.names]
    return Duplicates(
        size=group.copies[0].found.size,
        count=len(group.copies),
        wasted=group.wasted,
        blake3=group.digest.hex(),
        paths=[printable(name) for name in names[:_MAX_PATHS]],
    )
