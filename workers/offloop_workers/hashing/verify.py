"""Manifest verification (verify_manifest).

No path of a manifest is ever opened. The folder is listed, the two lists are compared by name, and only files of the
listing are read.
"""

from __future__ import annotations

import hmac
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from offloop.jobs.hashing import DIGITS, NOT_FOR_SECURITY, Moved, ToVerify, Verdict, verify_manifest
from offloop.kinds.context import Context
from offloop.kinds.kind import performs
from offloop.kinds.references import FileReference, parse
from offloop_workers.files.progress import ByteProgress
from offloop_workers.files.sources import Source, source
from offloop_workers.files.walk import Found, Listing, printable
from offloop_workers.hashing import manifest
from offloop_workers.hashing.entries import LINK, Contents, Entry
from offloop_workers.hashing.readers import ReadTask, Result, results
from offloop_workers.hashing.tree import MAX_LISTED, link_digest, listed

Expected = dict[str, list[Entry]]
"""The manifest's entries for one path, by algorithm."""


@dataclass(slots=True)
class _Comparison:
    """Paths by outcome, unescaped and in full."""

    ok: list[str] = field(default_factory=list)
    mismatch: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    moved: list[tuple[str, str]] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@performs(verify_manifest)
def verify(request: ToVerify, context: Context) -> Verdict:
    """Compare a manifest with a folder; missing files are searched among the unlisted ones."""
    with context.open(request.manifest) as file:
        contents = manifest.read(file, request.algorithm)
    with source(request, context, request.links) as files:
        listing = listed(files.list(), context)
        found = _compare(contents.entries, files, listing, context, _own_path(request))
    _warn(contents, listing, context)
    with context.create("verification.json", "application/json") as file:
        manifest.lists(file, _report(found, contents))
    return _verdict(found, contents)


def _compare(entries: list[Entry], files: Source, listing: Listing, context: Context, own: str | None) -> _Comparison:
    result = _Comparison()
    expected = _by_path(entries, result.refused)
    links = dict(listing.links)
    both = [found for found in listing.files if found.path in expected]
    extra = [found for found in listing.files if found.path not in expected and found.path != own]
    present = links.keys() | {found.path for found in both}
    missing = {path: by for path, by in expected.items() if path not in present}
    candidates, algorithms = _candidates(missing, extra)
    tasks = [ReadTask(found.path, found.size, tuple(expected[found.path])) for found in both]
    tasks += [ReadTask(found.path, found.size, algorithms) for found in candidates]
    progress = ByteProgress(context, sum(task.size for task in tasks))
    read = results(files, tasks, progress)
    for found, digests in zip(both, read[: len(both)], strict=True):
        _judge(result, found.path, expected[found.path], digests)
    for path in links.keys() & expected.keys():
        _judge_link(result, path, expected[path], links[path])
    _match_moved(result, missing, candidates, read[len(both) :])
    moved_to = {path for _, path in result.moved}
    result.extra = [found.path for found in extra if found.path not in moved_to]
    result.extra += [path for path in links if path not in expected]
    result.unreadable += [path for path, _ in listing.troubles if path not in expected]
    return result


def _by_path(entries: list[Entry], refused: list[str]) -> dict[str, Expected]:
    """The entries by path and algorithm; paths that lead out of the folder go to `refused`."""
    expected: dict[str, Expected] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        if (path := _inside(entry.path)) is None:
            refused.append(entry.path)
        else:
            expected[path][entry.algorithm].append(entry)
    return dict(expected)


def _judge(result: _Comparison, path: str, expected: Expected, digests: Result) -> None:
    if isinstance(digests, str):
        result.unreadable.append(path)
        return
    same = [
        hmac.compare_digest(entry.digest, found) and entry.size != LINK
        for found, entries in zip(digests, expected.values(), strict=True)
        for entry in entries
    ]
    (result.ok if all(same) else result.mismatch).append(path)


def _judge_link(result: _Comparison, path: str, expected: Expected, target: bytes) -> None:
    same = all(
        entry.size == LINK and entry.digest == link_digest(algorithm, target)
        for algorithm, entries in expected.items()
        for entry in entries
    )
    (result.ok if same else result.mismatch).append(path)


def _candidates(missing: dict[str, Expected], extra: list[Found]) -> tuple[list[Found], tuple[str, ...]]:
    """The unlisted files that could be one of the missing, and the algorithms to compare them by."""
    entries = [entry for by in missing.values() for entries in by.values() for entry in entries if entry.size != LINK]
    sizes = {entry.size for entry in entries}
    candidates = extra if -1 in sizes else [found for found in extra if found.size in sizes]
    return candidates, tuple(dict.fromkeys(entry.algorithm for entry in entries))


def _match_moved(
    result: _Comparison, missing: dict[str, Expected], candidates: list[Found], read: list[Result]
) -> None:
    """Pair each missing path that has one digest with an unlisted file of that digest, each file once."""
    by_digest: dict[bytes, list[str]] = defaultdict(list)
    for found, digests in zip(candidates, read, strict=True):
        for digest in digests if isinstance(digests, list) else ():
            by_digest[digest].append(found.path)
    matched: set[str] = set()
    for path, by in missing.items():
        digests_of_path = {entry.digest for entries in by.values() for entry in entries}
        unambiguous = len(by) == 1 and len(digests_of_path) == 1
        paths = by_digest.get(next(iter(digests_of_path)), []) if unambiguous else []
        moved_to = next((candidate for candidate in paths if candidate not in matched), None)
        if moved_to is None:
            result.missing.append(path)
        else:
            matched.add(moved_to)
            result.moved.append((path, moved_to))


def _inside(path: str) -> str | None:
    """The path in the form of a listing; None for one that leads out of the folder."""
    parts = path.removeprefix("./").split("/")
    return None if any(part in {"", ".", ".."} for part in parts) else "/".join(parts)


def _own_path(request: ToVerify) -> str | None:
    """The manifest's own path below the folder, if it lies there: a manifest does not list itself."""
    if request.folder is None or not request.manifest.startswith("root:"):
        return None
    folder, own = parse(request.folder), parse(FileReference(request.manifest))
    prefix = f"{folder.path}/" if folder.path else ""
    inside = folder.name == own.name and own.path.startswith(prefix)
    return own.path.removeprefix(prefix) if inside else None


def _warn(contents: Contents, listing: Listing, context: Context) -> None:
    if weak := NOT_FOR_SECURITY & {entry.algorithm for entry in contents.entries}:
        names = ", ".join(sorted(weak))
        context.warn(f"{names} finds accidents, not attackers: for security use a manifest of sha256 or better.")
    if not listing.files:
        context.warn("The folder has no file that was chosen: check it, and include, exclude and hidden.")


def _report(found: _Comparison, contents: Contents) -> list[tuple[str, Iterable[object]]]:
    names = ("ok", "mismatch", "missing", "extra", "unreadable", "refused")
    lists: list[tuple[str, Iterable[object]]] = [
        (name, map(manifest.json_path, getattr(found, name))) for name in names
    ]
    moved = ({"listed": manifest.json_path(one), "found": manifest.json_path(other)} for one, other in found.moved)
    return [*lists, ("moved", moved), ("malformed", contents.malformed)]


def _verdict(found: _Comparison, contents: Contents) -> Verdict:
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
        algorithms=sorted({entry.algorithm for entry in contents.entries}, key=list(DIGITS).index),
    )


def _first(paths: list[str]) -> list[str]:
    return [printable(path) for path in sorted(paths, key=os.fsencode)[:MAX_LISTED]]
