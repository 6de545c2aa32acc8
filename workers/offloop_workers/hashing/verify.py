"""A manifest against what is there: the work of verify_manifest.

No path of a manifest is ever opened. The folder is listed, the two lists are compared by name, and only what the
listing found is read.
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
from offloop_workers.hashing import manifest
from offloop_workers.hashing.entries import LINK, Contents, Entry
from offloop_workers.hashing.pace import Pace
from offloop_workers.hashing.readers import Wish, results
from offloop_workers.hashing.sources import Source, source
from offloop_workers.hashing.tree import SHOWN, link_digest, listed
from offloop_workers.hashing.walk import Found, Listing, shown


@dataclass(slots=True)
class _Comparison:
    """Paths by what became of them, as they are."""

    ok: list[str] = field(default_factory=list)
    mismatch: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    moved: list[tuple[str, str]] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@performs(verify_manifest)
def verify(request: ToVerify, context: Context) -> Verdict:
    """Read the manifest, list, read what is listed in both, and look for what is missing among what is not listed."""
    with context.open(request.manifest) as file:
        contents = manifest.read(file, request.algorithm)
    with source(request, context) as files:
        listing = listed(files.list(), context)
        found = _compare(contents.entries, files, listing, context, _own_path(request))
    _warn(contents, listing, context)
    with context.create("verification.json", "application/json") as file:
        manifest.lists(file, _report(found, contents))
    return _verdict(found, contents)


def _compare(entries: list[Entry], files: Source, listing: Listing, context: Context, own: str | None) -> _Comparison:
    result = _Comparison()
    wanted: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        if (path := _inside(entry.path)) is None:
            result.refused.append(entry.path)
        else:
            wanted[path][entry.algorithm].append(entry)
    present = {found.path: found for found in listing.files}
    links = dict(listing.links)
    missing = {path: by for path, by in wanted.items() if path not in present and path not in links}
    extra = [found for found in listing.files if found.path not in wanted and found.path != own]
    both = [found for found in listing.files if found.path in wanted]
    candidates = _candidates(missing, extra)
    wishes = [Wish(found.path, found.size, tuple(wanted[found.path])) for found in both]
    wishes += [Wish(found.path, found.size, algorithms) for found, algorithms in candidates]
    pace = Pace(context, sum(wish.size for wish in wishes))
    read = results(files, wishes, pace)
    for found, digests in zip(both, read[: len(both)], strict=True):
        _judge(result, found.path, wanted[found.path], digests)
    for path in links.keys() & wanted.keys():
        _judge_link(result, path, wanted[path], links[path])
    _match_moved(result, missing, [found for found, _ in candidates], read[len(both) :])
    arrived = {to for _, to in result.moved}
    result.extra = [found.path for found in extra if found.path not in arrived]
    result.extra += [path for path in links if path not in wanted]
    result.unreadable += [path for path, _ in listing.troubles if path not in wanted]
    return result


def _judge(result: _Comparison, path: str, wanted: dict[str, list[Entry]], digests: list[bytes] | str) -> None:
    if isinstance(digests, str):
        result.unreadable.append(path)
        return
    same = [
        hmac.compare_digest(entry.digest, found) and entry.size != LINK
        for found, entries in zip(digests, wanted.values(), strict=True)
        for entry in entries
    ]
    (result.ok if all(same) else result.mismatch).append(path)


def _judge_link(result: _Comparison, path: str, wanted: dict[str, list[Entry]], target: bytes) -> None:
    same = all(
        entry.size == LINK and entry.digest == link_digest(algorithm, target)
        for algorithm, entries in wanted.items()
        for entry in entries
    )
    (result.ok if same else result.mismatch).append(path)


def _candidates(
    missing: dict[str, dict[str, list[Entry]]], extra: Iterable[Found]
) -> list[tuple[Found, tuple[str, ...]]]:
    """Unlisted files that could be one of the missing, with the digests that would tell."""
    sought = [entry for by in missing.values() for entries in by.values() for entry in entries if entry.size != LINK]
    algorithms = tuple(dict.fromkeys(entry.algorithm for entry in sought))
    sizes = {entry.size for entry in sought}
    if not algorithms:
        return []
    return [(found, algorithms) for found in extra if -1 in sizes or found.size in sizes]


def _match_moved(
    result: _Comparison,
    missing: dict[str, dict[str, list[Entry]]],
    candidates: list[Found],
    read: list[list[bytes] | str],
) -> None:
    by_digest: dict[bytes, list[str]] = defaultdict(list)
    for found, digests in zip(candidates, read, strict=True):
        for digest in digests if isinstance(digests, list) else ():
            by_digest[digest].append(found.path)
    taken: set[str] = set()
    for path, by in missing.items():
        listed_digests = {entry.digest for entries in by.values() for entry in entries}
        places = by_digest.get(next(iter(listed_digests)), []) if len(by) == 1 and len(listed_digests) == 1 else []
        place = next((place for place in places if place not in taken), None)
        if place is None:
            result.missing.append(path)
        else:
            taken.add(place)
            result.moved.append((path, place))


def _inside(path: str) -> str | None:
    """The path as a listing has it; nothing for one that leads out of the folder."""
    parts = path.removeprefix("./").split("/")
    return None if any(part in {"", ".", ".."} for part in parts) else "/".join(parts)


def _own_path(request: ToVerify) -> str | None:
    """Where the manifest lies below the folder; a manifest does not list itself."""
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
        moved=[Moved(listed=shown(one), found=shown(other)) for one, other in found.moved[:SHOWN]],
        extra=_first(found.extra),
        unreadable=_first(found.unreadable),
        refused=_first(found.refused),
        malformed=contents.malformed[:SHOWN],
        algorithms=sorted({entry.algorithm for entry in contents.entries}, key=list(DIGITS).index),
    )


def _first(paths: list[str]) -> list[str]:
    return [shown(path) for path in sorted(paths, key=os.fsencode)[:SHOWN]]
