"""Safe handling of paths from callers: opening files under a root, and sanitising file names.

Joining a caller's path to a folder and checking the result is not safe: the file system may change between check and
use (TOCTOU), and a prefix says nothing about symbolic links. `open_beneath` walks down from the root one component at a
time, each opened relative to its parent and without following links. `open_folder_beneath` does the same for a folder;
its entries are opened relative to it, with `enter` and `open_regular`.
"""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from pathlib import Path
from typing import BinaryIO

from offloop.errors import JobError

UNREADABLE = "unreadable_file"
MAX_NAME = 120
_MAX_NAME_BYTES = 240  # file systems allow 255 bytes, and a client may add " (1)"
_MAX_EXTENSION = 16
_LISTED = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
# O_NONBLOCK: opening a named pipe must not wait for a writer.
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
_RISKY = str.maketrans(dict.fromkeys('"<>|:*?', "_"))


def unreadable(label: str) -> JobError:
    """The error for an unreadable file; one message for every reason, so that files cannot be probed."""
    message = (
        f"{_short(label)} cannot be read: there is no regular file of that name that the worker may open. "
        "Check the spelling; links, folders and devices are not followed."
    )
    return JobError(message, code=UNREADABLE)


def unreadable_folder(label: str) -> JobError:
    """The error for an unreadable folder."""
    message = (
        f"{_short(label)} cannot be read: there is no folder of that name that the worker may open. Check the "
        "spelling; links are not followed, and a single file is not a folder."
    )
    return JobError(message, code=UNREADABLE)


def open_beneath(root: Path, path: str, *, label: str | None = None) -> BinaryIO:
    """Open a regular file under a folder, for reading.

    Args:
        root: a folder the operator opened; it may itself be reached through a link.
        path: relative to the root, parts joined by ``/``; no part may be empty, ``.`` or ``..``.
        label: how messages name the file, such as the whole reference; without it, the path.

    Raises:
        JobError: ``unreadable_file``: the path leaves the root, or names no regular file that may be read.
    """
    label = label or path
    parts = path.split("/")
    if not _stays_beneath(parts):
        message = (
            f"{_short(label)} does not name a file under its root: write folder/file, relative to the root, "
            "with no empty part, '.' or '..'."
        )
        raise JobError(message, code=UNREADABLE)
    try:
        folder = _descend(root, parts[:-1])
        try:
            return os.fdopen(open_regular(folder, parts[-1]), "rb")
        finally:
            os.close(folder)
    except (OSError, ValueError):  # ValueError: characters that no file name can hold
        raise unreadable(label) from None


def open_folder_beneath(root: Path, path: str, *, label: str | None = None) -> int:
    """Open a folder under a folder, to list it and to open its entries; the caller closes the descriptor.

    Args:
        root: a folder the operator opened; it may itself be reached through a link.
        path: relative to the root, parts joined by ``/``, none of them empty, ``.`` or ``..``; ``""`` is the root.
        label: how messages name the folder, such as the whole reference; without it, the path.

    Raises:
        JobError: ``unreadable_file``: the path leaves the root, or names no folder that may be read.
    """
    label = label or path
    parts = path.split("/") if path else []
    if not _stays_beneath(parts):
        message = (
            f"{_short(label)} does not name a folder under its root: write folder/folder, relative to the root, "
            "with no empty part, '.' or '..'."
        )
        raise JobError(message, code=UNREADABLE)
    try:
        parent = _descend(root, parts[:-1])
        try:
            return enter(parent, parts[-1] if parts else ".")
        finally:
            os.close(parent)
    except (OSError, ValueError):
        raise unreadable_folder(label) from None


def enter(folder: int, name: str) -> int:
    """Open a folder inside an open folder, for listing; links are not followed.

    Raises:
        OSError: it does not exist or may not be read.
    """
    return os.open(name, _LISTED, dir_fd=folder)


def open_regular(folder: int, name: str) -> int:
    """Open a regular file inside an open folder, for reading; follows no links and does not block on a pipe.

    Raises:
        OSError: it does not exist or may not be read.
    """
    descriptor = os.open(name, _FILE, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return descriptor


def _stays_beneath(parts: list[str]) -> bool:
    return not any("\0" in part or part in {"", ".", ".."} for part in parts)


def _descend(root: Path, parts: list[str]) -> int:
    folder = os.open(root, os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            below = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
    except BaseException:
        os.close(folder)
        raise
    return folder


def safe_name(name: str, default: str) -> str:
    """Sanitise a file name: safe to display, in a header and on any file system.

    Keeps only the part after the last slash or backslash; removes control characters, invisible and bidirectional
    marks, and leading dots. At most 120 characters (and 240 bytes) remain, including the extension.

    Args:
        name: name proposed by a caller or a document.
        default: name to use when nothing is left.
    """
    last = unicodedata.normalize("NFC", name.replace("\\", "/").rsplit("/", 1)[-1])
    kept = "".join(
        " " if unicodedata.category(character)[0] == "Z" else character
        for character in last
        if unicodedata.category(character)[0] != "C"
    )
    clean = " ".join(kept.translate(_RISKY).split()).lstrip(". ").rstrip(". ")
    return _fit(clean) or default


def _fit(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension) > _MAX_EXTENSION or " " in extension:
        stem, dot, extension = name, "", ""
    end = dot + extension
    stem = stem[: MAX_NAME - len(end)]
    while len((stem + end).encode()) > _MAX_NAME_BYTES:
        stem = stem[:-1]
    return stem.rstrip(". ") + end


def _short(label: str) -> str:
    return repr(label if len(label) <= MAX_NAME else label[: MAX_NAME - 3] + "...")
