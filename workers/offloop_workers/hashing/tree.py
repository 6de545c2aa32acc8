"""Tree digest and manifest of a folder or of several files (hash_tree)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from typing import Final

from offloop.errors import LimitExceeded
from offloop.jobs.files import Trouble
from offloop.jobs.hashing import MAX_GIB, NOT_FOR_SECURITY, TreeDigest, TreeToHash, hash_tree
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop_workers.files.progress import ByteProgress
from offloop_workers.files.sources import source
from offloop_workers.files.walk import Listing, printable, unused_note
from offloop_workers.hashing.digest import digest
from offloop_workers.hashing.entries import LINK, Entry
from offloop_workers.hashing.manifests import hashdeep, writing
from offloop_workers.hashing.read import MAX_BYTES
from offloop_workers.hashing.readers import ReadTask, Result, results

MAX_LISTED: Final = 50
"""Entries of a list in an answer, which a model has to read."""

_LENGTH: Final = struct.Struct(">Q")


@performs(hash_tree)
def hash_files(request: TreeToHash, context: Context) -> TreeDigest:
    """List the files, hash them in parallel, and write the manifest in the order of the paths."""
    with source(request, context, request.links) as files:
        listing = listed(files.list(), context)
        tasks = [ReadTask(found.path, found.size, (request.algorithm,)) for found in listing.files]
        progress = ByteProgress(context, total(listing))
        read = results(files, tasks, progress)
    entries = _entries(request.algorithm, listing, read)
    problems = troubles(listing, tasks, read)
    tree = None if problems else tree_digest(request.algorithm, entries)
    with context.create(_name(request), writing.MIME[request.manifest]) as file:
        writing.write(file, request.manifest, request.algorithm, tree, entries)
    _warn(request, listing, len(problems), context)
    return TreeDigest(
        algorithm=request.algorithm,
        tree_digest=tree,
        files=len(entries) - len(listing.links),
        bytes=progress.done,
        links=len(listing.links),
        skipped=dict(listing.skipped),
        troubles=problems[:MAX_LISTED],
        troubles_total=len(problems),
        not_for_security=request.algorithm in NOT_FOR_SECURITY,
    )


def tree_digest(algorithm: str, entries: Iterable[Entry]) -> str:
    """One digest of all entries, which are in the order of their paths' bytes.

    The hashed bytes are ``offloop-tree-1`` and the algorithm, each ended by NUL, and for each entry: ``F`` (file) or
    ``L`` (link), the length of its path in 8 bytes (big-endian), the path, and its digest. The encoding is injective:
    the length of every part is known before the part is read.
    """
    whole = digest(algorithm)
    whole.update(memoryview(f"offloop-tree-1\0{algorithm}\0".encode()))
    for entry in entries:
        path, kind = os.fsencode(entry.path), b"L" if entry.size == LINK else b"F"
        whole.update(memoryview(kind + _LENGTH.pack(len(path)) + path + entry.digest))
    return whole.digest().hex()


def listed(listing: Listing, context: Context) -> Listing:
    """Check the total size of a listing, and warn of the entries it left out.

    Raises:
        LimitExceeded: the files have too many bytes.
    """
    if total(listing) > MAX_BYTES:
        message = (
            f"The files have {total(listing) / 2**30:,.0f} GiB together, a job reads at most {MAX_GIB} GiB: choose "
            "fewer with include and exclude, or send the folders inside one by one. (A file with holes counts in full.)"
        )
        raise LimitExceeded(message)
    for file_type, count in sorted(listing.skipped.items()):
        if file_type != "hidden":
            first = next((printable(path) for path, other in listing.left_out.items() if other == file_type), "?")
            context.warn(f"{count} {file_type} left out, such as {first!r}: only regular files are read.")
    if listing.unused and listing.files:
        context.warn(unused_note(listing.unused))
    return listing


def total(listing: Listing) -> int:
    """Bytes of all files."""
    return sum(found.size for found in listing.files)


def troubles(listing: Listing, tasks: Iterable[ReadTask], read: Iterable[Result]) -> list[Trouble]:
    """Paths that could not be listed or read, with the reason."""
    unread = [(task.path, result) for task, result in zip(tasks, read, strict=True) if isinstance(result, str)]
    return [Trouble(path=printable(path), reason=why) for path, why in (*listing.troubles, *unread)]


def _entries(algorithm: str, listing: Listing, read: list[Result]) -> list[Entry]:
    entries = [
        Entry(found.path, algorithm, result[0], found.size)
        for found, result in zip(listing.files, read, strict=True)
        if not isinstance(result, str)
    ]
    if not listing.links:
        return entries  # already sorted
    entries += [Entry(path, algorithm, link_digest(algorithm, target), LINK) for path, target in listing.links]
    return sorted(entries, key=lambda entry: os.fsencode(entry.path))


def link_digest(algorithm: str, target: bytes) -> bytes:
    """The digest of a link's target, which may be a private path of the server and is never shown itself."""
    link = digest(algorithm)
    link.update(memoryview(target))
    return link.digest()


def _name(request: TreeToHash) -> str:
    base = request.algorithm.replace("_", "-")
    return f"{base}-manifest.json" if request.manifest == "json" else f"{base}sums.txt"


def _warn(request: TreeToHash, listing: Listing, problems: int, context: Context) -> None:
    if problems:
        context.warn(f"{problems} files or folders could not be hashed, so there is no tree digest; see troubles.")
    if listing.links and request.manifest != "json":
        context.warn("Recorded links are part of the tree digest but not of this manifest: send manifest=json.")
    if request.manifest == "hashdeep" and (count := sum(not hashdeep.fits(found.path) for found in listing.files)):
        context.warn(f"{count} names hold line ends, which no manifest of hashdeep can have: send manifest=json.")
    if not listing.files and not listing.links:
        context.warn("No file was chosen: check the folder, include, exclude and hidden.")
