"""Manifest verification (verify_manifest).

No path of a manifest is ever opened. The folder is listed, the two lists are compared by name, and only files of the
listing are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from offloop.errors import JobError
from offloop.jobs.hashing import DIGITS, Moved, ToVerify, Verdict, verify_manifest
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop.kinds.references import FileReference, parse
from offloop_workers.files.sources import source
from offloop_workers.files.walk import Listing, printable
from offloop_workers.hashing import manifest
from offloop_workers.hashing.comparison import Comparison, Folder, compared
from offloop_workers.hashing.digest import UNIVERSAL, weak
from offloop_workers.hashing.entries import Contents
from offloop_workers.hashing.manifests import own, writing
from offloop_workers.hashing.tree import MAX_LISTED, listed

_LISTS = ("ok", "mismatch", "missing", "extra", "unreadable", "refused")


@performs(verify_manifest)
def verify(request: ToVerify, context: Context) -> Verdict:
    """Compare a manifest with a folder; missing files are searched among the unlisted ones."""
    with source(request, context, request.links) as files:
        listing = listed(files.list(), context)
        with context.open(request.manifest) as file:
            contents = manifest.read(file, request.algorithm, _with_line_breaks(listing))
        folder = Folder(files, listing, context, _own_path(request))
        contents = _for_one_file(contents, folder)
        found = compared(contents, folder)
    _warn(contents, found, listing, context)
    with context.create("verification.json", "application/json") as file:
        writing.lists(file, _report(found, contents))
    return _verdict(found, contents)


def _with_line_breaks(listing: Listing) -> list[bytes]:
    """The names in the folder that have line breaks."""
    found = {part for file in listing.files if "\n" in file.path for part in file.path.split("/") if "\n" in part}
    return sorted(map(os.fsencode, found))


def _for_one_file(contents: Contents, folder: Folder) -> Contents:
    """The manifest with the only file as the one that digests without a name are about.

    Raises:
        JobError: ``bad_input``: there are several files, or none.
    """
    if not contents.unnamed:
        return contents
    paths = [file.path for file in folder.listing.files if file.path != folder.own]
    named = [entry for entry in contents.unnamed if entry.path in paths]
    if named:
        return contents._replace(entries=named)
    different = {(entry.algorithm, entry.digest) for entry in contents.unnamed}
    algorithms = {algorithm for algorithm, _ in different}
    if len(paths) == 1 and len(different) == len(algorithms):
        return contents._replace(entries=[entry._replace(path=paths[0]) for entry in contents.unnamed])
    message = (
        f"The manifest has a digest and no name of a file, and {len(paths):,} files were chosen: choose the one it is "
        "about with include, or send it alone in files."
        if len(different) == len(algorithms)
        else f"The manifest has {len(different):,} digests and no names of files: send lines of '<digest>  <path>'."
    )
    raise JobError(message, code="bad_input")


def _own_path(request: ToVerify) -> str | None:
    """The manifest's own path below the folder, if it lies there: a manifest does not list itself."""
    if request.folder is None or not request.manifest.startswith("root:"):
        return None
    folder, own_path = parse(request.folder), parse(FileReference(request.manifest))
    prefix = f"{folder.path}/" if folder.path else ""
    inside = folder.name == own_path.name and own_path.path.startswith(prefix)
    return own_path.path.removeprefix(prefix) if inside else None


def _warn(contents: Contents, found: Comparison, listing: Listing, context: Context) -> None:
    for note in (*contents.notes, *found.notes):
        context.warn(note)
    if names := ", ".join(sorted(name for name in found.algorithms if weak(name))):
        context.warn(f"{names} finds accidents, not attackers: for security use a manifest of sha256 or better.")
    if found.reasons:
        path, why = next(iter(found.reasons.items()))
        context.warn(f"{len(found.reasons):,} files or folders could not be read, such as {printable(path)!r}: {why}.")
    left_out = [path for path in found.missing if path in listing.left_out]
    if left_out:
        context.warn(
            f"{len(left_out):,} of the missing names are there, but are no regular files, such as "
            f"{printable(left_out[0])!r} ({listing.left_out[left_out[0]]}): they are never followed or read."
        )
    if count := listing.skipped["hidden"]:
        context.warn(f"{count:,} hidden names were left out (hidden=false), with all that is in them.")
    if not listing.files:
        context.warn("The folder has no file that was chosen: check it, and include, exclude and hidden.")


def _report(found: Comparison, contents: Contents) -> list[tuple[str, Iterable[object]]]:
    lists: list[tuple[str, Iterable[object]]] = [(name, map(own.json_path, getattr(found, name))) for name in _LISTS]
    moved = ({"listed": own.json_path(one), "found": own.json_path(other)} for one, other in found.moved)
    reasons = ({**own.json_path(path), "reason": why} for path, why in found.reasons.items())
    return [*lists, ("moved", moved), ("malformed", contents.malformed), ("reasons", reasons)]


def _verdict(found: Comparison, contents: Contents) -> Verdict:
    bad = found.mismatch or found.missing or found.moved or found.unreadable or found.refused
    verified = not bad and not contents.malformed_total
    counts = {
        name: len(getattr(found, name))
        for name in ("ok", "mismatch", "missing", "moved", "extra", "unreadable", "refused")
    }
    return Verdict(
        verified=verified,
        exact=verified and not found.extra,
        counts={**counts, "malformed": contents.malformed_total},
        mismatch=_first(found.mismatch),
        missing=_first(found.missing),
        moved=[Moved(listed=printable(one), found=printable(other)) for one, other in found.moved[:MAX_LISTED]],
        extra=_first(found.extra),
        unreadable=_first(found.unreadable),
        refused=_first(found.refused),
        malformed=contents.malformed[:MAX_LISTED],
        algorithms=sorted({one.removesuffix(UNIVERSAL) for one in found.algorithms}, key=_order),
    )


def _order(algorithm: str) -> tuple[int, str]:
    known = [*DIGITS]
    return known.index(algorithm) if algorithm in DIGITS else len(known), algorithm


def _first(paths: list[str]) -> list[str]:
    return [printable(path) for path in sorted(paths, key=os.fsencode)[:MAX_LISTED]]
