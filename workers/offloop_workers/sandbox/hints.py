"""What a job's author is told when the sandbox stood in the way, however deep in libraries the refusal was met."""

from __future__ import annotations

import errno
import socket
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from offloop.kinds.kind import Kind

_DEPTH: Final = 20
_STARTERS: Final = frozenset({"_execute_child", "_posix_spawn", "_fork_exec", "_launch", "fork", "forkpty"})
"""Functions of the standard library that start processes."""


def hint(error: BaseException, kind: Kind[Any, Any]) -> str:
    """What to do about an error that the sandbox caused; ``""`` where it did not, as far as can be seen."""
    for cause in _chain(error):
        if not kind.network and _dialled(cause):
            return (
                f"{kind.name} tried to open a network connection, which its kind may not: take the file as a "
                "FileReference (a caller may then send a URL), use context.fetch, or declare the kind with "
                'network=True and isolation="fork".'
            )
        if isinstance(cause, PermissionError) and kind.sandbox == "strict":
            what = "start a program" if _started(cause) else "use a file, process or device that is not its own"
            return (
                f'{kind.name} tried to {what}, which a kind with sandbox="strict" may not: work in context.folder and '
                "open files with context.open, or declare the kind without it."
            )
        if isinstance(cause, PermissionError) and cause.errno == errno.EPERM and _started(cause):
            return (
                f"{kind.name} tried to start a program in a session or namespace of its own, which no job may: start "
                "it without start_new_session, process_group and the like."
            )
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those it came of, also where a library only wrapped them."""
    waiting, seen = [error], 0
    while waiting and seen < _DEPTH:
        current = waiting.pop(0)
        seen += 1
        yield current
        linked = [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
        if isinstance(current, BaseExceptionGroup):
            linked += current.exceptions
        waiting += [link for link in linked if isinstance(link, BaseException)]


def _dialled(error: BaseException) -> bool:
    if isinstance(error, socket.gaierror):
        return True
    return isinstance(error, PermissionError) and error.errno == errno.EACCES and _last(error)[0] == socket.__file__


def _started(error: BaseException) -> bool:
    return _last(error)[1] in _STARTERS


def _last(error: BaseException) -> tuple[str, str]:
    """File and function that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    return (frames[-1].filename, frames[-1].name) if frames else ("", "")
