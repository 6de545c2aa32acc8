"""Comparison of a manifest's entries with a folder: each listed file is read once, and missing ones are looked for."""

from __future__ import annotations

import hmac
from collections import defaultdict, deque
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from offloop.kinds.context import Context
from offloop_workers.files.progress import ByteProgress
from offloop_workers.files.sources import Source
from offloop_workers.files.walk import Found, Listing, printable
from offloop_workers.hashing.digest import UNIVERSAL
from offloop_workers.hashing.entries import LINK, Contents, Entry
from offloop_workers.hashing.manifests import labels
from offloop_workers.hashing.names import Expected, matched
from offloop_workers.hashing.readers import ReadTask, Result, results
from offloop_workers.hashing.tree import link_digest

_PROBES: Final = 3
"""Listed files, and unlisted ones, that show which algorithm a manifest without one has."""

_TRIED: Final = 50
"""Unlisted files of one digest whose other digests are compared."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The files that a manifest is compared with.

    Attributes:
        files: opens them.
        listing: what is there.
        context: takes the progress.
        own: the path of the manifest itself, if it is among them.
    """

    files: Source
    listing: Listing
    context: Context
    own: str | None


@dataclass(slots=True)
class Comparison:
    """Paths by outcome, unescaped and in full; why some could not be read; and what else is to be told."""

    ok: list[str] = field(default_factory=list)
    mismatch: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    moved: list[tuple[str, str]] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    algorithms: set[str] = field(default_factory=set)


def compared(contents: Contents, folder: Folder) -> Comparison:
    """Compare; where no file has a digest whose algorithm was guessed by its length, try the others of that length."""
    found, expected = _compare(contents, folder)
    wrong = _wrong_guesses(contents, found, expected)
    if not wrong:
        return found
    better = _probed(wrong, found, expected, folder)
    for guess, right in better.items():
        found.notes.append(
            f"The manifest does not name its algorithm: {guess} fits no file, and {right} does, so it was taken."
        )
    if not better:
        return found
    entries = [entry._replace(algorithm=better.get(entry.algorithm, entry.algorithm)) for entry in contents.entries]
    again, _ = _compare(contents._replace(entries=entries), folder)
    again.notes = list(dict.fromkeys([*again.notes, *found.notes]))
    return again


def _compare(contents: Contents, folder: Folder) -> tuple[Comparison, dict[str, Expected]]:
    result, listing = Comparison(), folder.listing
    links = dict(listing.links)
    troubles = dict(listing.troubles)
    names = matched(contents, {*links, *troubles, *(found.path for found in listing.files)})
    expected, result.refused, result.notes = names.expected, names.refused, names.notes
    result.algorithms = {algorithm for by in expected.values() for algorithm in by} or {
        entry.algorithm for entry in contents.entries
    }
    both = [found for found in listing.files if found.path in expected]
    extra = [found for found in listing.files if found.path not in expected and found.path != folder.own]
    present = {*links, *troubles, *(found.path for found in both)}
    missing = {path: by for path, by in expected.items() if path not in present}
    candidates, algorithms = _candidates(missing, extra)
    tasks = [ReadTask(found.path, found.size, tuple(expected[found.path])) for found in both]
    tasks += [ReadTask(found.path, found.size, algorithms) for found in candidates]
    read = results(folder.files, tasks, ByteProgress(folder.context, sum(task.size for task in tasks)))
    for found, digests in zip(both, read[: len(both)], strict=True):
        _judge(result, found, expected[found.path], digests, contents)
    for path in links.keys() & expected.keys():
        _judge_link(result, path, expected[path], links[path])
    _match_moved(result, missing, candidates, read[len(both) :], algorithms)
    moved_to = {path for _, path in result.moved}
    result.extra = [found.path for found in extra if found.path not in moved_to]
    result.extra += [path for path in links if path not in expected]
    result.unreadable += list(troubles)
    result.reasons.update(troubles)
    _tell_contradictions(result, expected)
    return result, expected


def _judge(result: Comparison, found: Found, expected: Expected, digests: Result, contents: Contents) -> None:
    if isinstance(digests, str):
        result.unreadable.append(found.path)
        result.reasons[found.path] = digests
        return
    same = [
        _is_one_of(digest, entry, contents) and entry.size in {-1, found.size}
        for digest, entries in zip(digests, expected.values(), strict=True)
        for entry in entries
    ]
    (result.ok if all(same) else result.mismatch).append(found.path)


def _is_one_of(digest: bytes, entry: Entry, contents: Contents) -> bool:
    same = hmac.compare_digest(entry.digest, digest)
    return same or (contents.others is not None and digest in contents.others.get(entry.digest, ()))


def _judge_link(result: Comparison, path: str, expected: Expected, target: bytes) -> None:
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
    return candidates, tuple(dict.fromkeys(algorithm for by in missing.values() for algorithm in by))


def _match_moved(
    result: Comparison,
    missing: dict[str, Expected],
    candidates: list[Found],
    read: list[Result],
    algorithms: tuple[str, ...],
) -> None:
    """Pair each missing path with an unlisted file that has all of its digests, each file once."""
    by_digest: dict[tuple[str, bytes], deque[int]] = defaultdict(deque)
    for number, digests in enumerate(read):
        if isinstance(digests, str):
            result.unreadable.append(candidates[number].path)
            result.reasons[candidates[number].path] = digests
        else:
            for algorithm, digest in zip(algorithms, digests, strict=True):
                by_digest[algorithm, digest].append(number)
    matched_to: set[int] = set()
    several = 0
    for path, by in missing.items():
        wanted = _one_each(by)
        numbers = by_digest.get(wanted[0]) if wanted else None
        while numbers and numbers[0] in matched_to:
            numbers.popleft()
        size = max(entry.size for entries in by.values() for entry in entries)
        fitting = [
            number
            for number in islice(numbers or (), _TRIED)
            if number not in matched_to and size in {-1, candidates[number].size}
            and all(read[number][algorithms.index(one)] == digest for one, digest in wanted)
        ]  # fmt: skip
        if not fitting:
            result.missing.append(path)
            continue
        several += len(fitting) > 1
        matched_to.add(fitting[0])
        result.moved.append((path, candidates[fitting[0]].path))
    if several:
        result.notes.append(
            f"{several:,} moved files have several unlisted files of their content; the first one by path was taken."
        )


def _one_each(expected: Expected) -> list[tuple[str, bytes]]:
    """Algorithm and digest of an entry; none where it contradicts itself, or is a link."""
    found = [(algorithm, {entry.digest for entry in entries}) for algorithm, entries in expected.items()]
    if any(len(digests) > 1 for _, digests in found):
        return []
    if any(entry.size == LINK for entries in expected.values() for entry in entries):
        return []
    return [(algorithm, digest) for algorithm, digests in found for digest in digests]


def _tell_contradictions(result: Comparison, expected: dict[str, Expected]) -> None:
    twice = [
        path
        for path, by in expected.items()
        if any(len(entries) > 1 and len({entry.digest for entry in entries}) > 1 for entries in by.values())
    ]
    if twice:
        result.notes.append(
            f"{len(twice):,} files are listed twice with different digests, such as {printable(twice[0])!r}: "
            "no file has both."
        )


def _wrong_guesses(contents: Contents, found: Comparison, expected: dict[str, Expected]) -> set[str]:
    """The guessed algorithms that no file confirms."""
    if not contents.guessed or not (found.mismatch or found.missing):
        return set()
    confirmed = [*found.ok, *(listed for listed, _ in found.moved)]
    right = {algorithm.removesuffix(UNIVERSAL) for path in confirmed for algorithm in expected[path]}
    return {*contents.guessed} - right


def _probed(wrong: set[str], found: Comparison, expected: dict[str, Expected], folder: Folder) -> dict[str, str]:
    """The algorithm that small files show for each guessed one; none where no other fits either."""
    sizes = {one.path: one.size for one in folder.listing.files}
    better: dict[str, str] = {}
    for guess in sorted(wrong):
        others = labels.alternatives(guess)
        listed = [path for path in found.mismatch if {guess, guess + UNIVERSAL} & expected[path].keys()]
        if any(guess + UNIVERSAL in expected[path] for path in listed):
            others = tuple(one + UNIVERSAL for one in others)
        probes = sorted((path for path in listed if path in sizes), key=lambda path: sizes[path])[:_PROBES]
        lost = {entry.digest for path in found.missing for entry in expected[path].get(guess, ())}
        unlisted = sorted(found.extra, key=lambda path: sizes.get(path, 0))[:_TRIED] if lost and not probes else []
        tasks = [ReadTask(path, sizes[path], others) for path in (*probes, *unlisted) if path in sizes]
        read = results(folder.files, tasks, ByteProgress(folder.context, sum(task.size for task in tasks)))
        for task, digests in zip(tasks, read, strict=True):
            by = expected.get(task.path, {})
            own = {entry.digest for one in (guess, guess + UNIVERSAL) for entry in by.get(one, ())} or lost
            fitting = [] if isinstance(digests, str) else [
                one for one, digest in zip(others, digests, strict=True) if digest in own
            ]  # fmt: skip
            if fitting:
                better[guess] = fitting[0].removesuffix(UNIVERSAL)
                break
        if guess not in better and probes:
            found.notes.append(
                f"No file has its listed digest as {guess}, nor as {', '.join(others)}, whose digests are as long: the "
                "files have changed, or the algorithm is another."
            )
    return better
