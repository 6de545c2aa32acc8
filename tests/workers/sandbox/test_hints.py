"""Hints for job authors: an error that the sandbox caused is explained, another one is not."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from collections.abc import Callable
from typing import Final

import pytest

from offloop import Model, declare
from offloop_workers.sandbox.hints import hint


class Nothing(Model):
    """Input without fields."""


standard = declare("standard", Nothing, Nothing, description="d")
strict = declare("strict", Nothing, Nothing, description="d", sandbox="strict", isolation="fork")
online = declare("online", Nothing, Nothing, description="d", network=True, isolation="fork")

NETWORK: Final = "standard tried to open a network connection"
PROGRAM: Final = "strict tried to start a program"
FILE: Final = "strict tried to use a file, process or device that is not its own"
SESSION: Final = "standard tried to start a program in a session or namespace of its own"


def raised(function: Callable[[], object]) -> BaseException:
    """The error of a function, with its traceback."""
    try:
        function()
    except BaseException as error:  # noqa: BLE001 -- whatever it is
        return error
    pytest.fail("nothing was raised")


def refused_by(module: object, name: str, code: int) -> PermissionError:
    """An error as a function of the standard library raises it."""
    scope: dict[str, object] = {"code": code}
    source = f"def {name}():\n    raise PermissionError(code, 'refused')\n"
    exec(compile(source, getattr(module, "__file__", "job.py"), "exec"), scope)  # noqa: S102 -- as if it were of that file
    error = raised(scope[name])  # type: ignore[arg-type]
    assert isinstance(error, PermissionError)
    return error


def socket_refused() -> PermissionError:
    return refused_by(socket, "__init__", errno.EACCES)


def test_a_refused_socket_is_explained_unless_the_kind_has_network() -> None:
    assert hint(socket_refused(), standard).startswith(NETWORK)
    assert hint(socket.gaierror(-3, "Temporary failure"), standard).startswith(NETWORK)
    assert hint(socket_refused(), online) == ""
    assert hint(socket.gaierror(-3, "Temporary failure"), online) == ""


def test_other_errors_of_sockets_and_files_have_other_causes() -> None:
    assert hint(refused_by(socket, "connect", errno.EPERM), standard) == ""
    assert hint(refused_by(None, "read", errno.EACCES), standard) == ""
    assert hint(PermissionError(errno.EACCES, "never raised"), standard) == ""
    assert hint(raised(lambda: os.stat("/nowhere")), strict) == ""  # noqa: PTH116 -- an error of the system
    assert hint(ConnectionRefusedError(errno.ECONNREFUSED, "refused"), standard) == ""


@pytest.mark.parametrize("name", ["_execute_child", "_posix_spawn", "_fork_exec", "_launch", "fork", "forkpty"])
def test_a_refused_program_is_explained(name: str) -> None:
    assert hint(refused_by(subprocess, name, errno.EPERM), strict).startswith(PROGRAM)
    assert hint(refused_by(subprocess, name, errno.EPERM), standard).startswith(SESSION)
    assert hint(refused_by(subprocess, name, errno.EACCES), standard) == "", "the file is not executable"


def test_a_refused_file_is_explained_to_strict_kinds_only() -> None:
    error = refused_by(None, "read", errno.EACCES)
    assert hint(error, strict).startswith(FILE)
    assert hint(error, standard) == ""
    assert hint(refused_by(None, "read", errno.EPERM), standard) == ""


def wrapped(error: BaseException, how: str) -> BaseException:
    """An error of a library that hides the cause."""
    outer = RuntimeError("no luck")
    match how:
        case "cause":
            outer.__cause__ = error
        case "context":
            outer.__context__ = error
        case "reason":
            outer.reason = error  # type: ignore[attr-defined]
        case "argument":
            return RuntimeError("no luck", error)
        case "group":
            return BaseExceptionGroup("many", [ValueError("no"), error])
    return outer


HOW: Final = ["cause", "context", "reason", "argument", "group"]


@pytest.mark.parametrize("how", HOW)
def test_a_cause_is_found_however_a_library_wraps_it(how: str) -> None:
    assert hint(wrapped(socket_refused(), how), standard).startswith(NETWORK)
    deep: BaseException = socket_refused()
    for _ in range(5):
        deep = wrapped(deep, how)
    assert hint(deep, standard).startswith(NETWORK)


def test_a_cause_is_searched_for_in_twenty_errors() -> None:
    """Errors may name each other in a circle."""
    deep: BaseException = socket_refused()
    for _ in range(19):
        deep = wrapped(deep, "cause")
    assert hint(deep, standard).startswith(NETWORK)
    assert hint(wrapped(deep, "cause"), standard) == ""
    circle = RuntimeError("a")
    circle.__cause__ = circle
    assert hint(circle, standard) == ""
