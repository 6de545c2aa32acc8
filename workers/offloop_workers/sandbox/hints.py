"""Hints for job authors: the cause of an error that the sandbox provoked, however deep in a library it was raised."""

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
    """Advice on an error that the sandbox caused; ``""`` where another cause is likely."""
    for cause in _chain(error):
        if not kind.network and _is_socket_refusal(cause):
            return (
                f"{kind.name} tried to open a network connection, which its kind may not: take the file as a "
                "FileReference (a caller may then send a URL), use context.fetch, or declare the kind with "
                'network=True and isolation="fork".'
            )
        if isinstance(cause, PermissionError) and kind.sandbox == "strict":
            act = "start a program" if _is_start(cause) else "use a file, process or device that is not its own"
            return (
                f'{kind.name} tried to {act}, which a kind with sandbox="strict" may not: work in context.folder and '
                "open files with context.open, or declare the kind without it."
            )
        if isinstance(cause, PermissionError) and cause.errno == errno.EPERM and _is_start(cause):
            return (
                f"{kind.name} tried to start a program in a session or namespace of its own, which no job may: start "
                "it without start_new_session, process_group and the like."
            )
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, those that a library wrapped among them."""
    waiting, visited = [error], 0
    while waiting and visited < _DEPTH:
        current = waiting.pop(0)
        visited += 1
        yield current
        linked = [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
        if isinstance(current, BaseExceptionGroup):
            linked += current.exceptions
        waiting += [link for link in linked if isinstance(link, BaseException)]


def _is_socket_refusal(error: BaseException) -> bool:
    if isinstance(error, socket.gaierror):
        return True
    return isinstance(error, PermissionError) and error.errno == errno.EACCES and _origin(error)[0] == socket.__file__


def _is_start(error: BaseException) -> bool:
    return _origin(error)[1] in _STARTERS


def _origin(error: BaseException) -> tuple[str, str]:
    """The file and function that raised the error."""
    frames = traceback.extract_tb(error.__traceback__)
    return (frames[-1].filename, frames[-1].name) if frames else ("", "")
