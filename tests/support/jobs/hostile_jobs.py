"""Jobs that try what no job may, and report the outcome. Loaded like a user's own jobs."""

# ruff: noqa: ARG001 -- all take the same input, few need it
# ruff: noqa: PTH109, PTH115, PTH208, PTH211, S607, SIM115 -- the calls as an attacker writes them

from __future__ import annotations

import contextlib
import ctypes
import decimal
import gc
import locale
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from offloop import Context, FileReference, Model, job


class Given(Model):
    """Input of these jobs."""

    text: str = ""
    number: int = 0
    file: FileReference | None = None


class Report(Model):
    """Outcome of each attempt, by its name: ``done``, or the name of the error."""

    found: dict[str, str] = Field(default_factory=dict)
    pid: int = 0


FAMILIES = ("AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_UNIX", "AF_VSOCK", "AF_ALG")


def _dial(family: int) -> None:
    with socket.socket(family, socket.SOCK_DGRAM if family != socket.AF_NETLINK else socket.SOCK_RAW):
        pass


def _call(number: int, *arguments: Any) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _pair() -> None:
    for end in socket.socketpair():
        end.close()


def _outcomes(attempts: dict[str, Callable[[], object]]) -> Report:
    found = {}
    for name, attempt in attempts.items():
        try:
            attempt()
            found[name] = "done"
        except OSError as error:
            found[name] = type(error).__name__
    return Report(found=found, pid=os.getpid())


def _everything(given: Given, context: Context) -> Report:
    zygote = os.getppid()
    worker = given.number
    attempts: dict[str, Callable[[], object]] = {
        **{name: partial(_dial, getattr(socket, name)) for name in FAMILIES if hasattr(socket, name)},
        "socketpair": _pair,
        "environ of the zygote": lambda: Path(f"/proc/{zygote}/environ").read_bytes(),
        "environ of the worker": lambda: Path(f"/proc/{worker}/environ").read_bytes(),
        "memory of the zygote": lambda: Path(f"/proc/{zygote}/mem").open("rb"),
        "files of the worker": lambda: os.readlink(f"/proc/{worker}/fd/0"),
        "kill the zygote": lambda: os.kill(zygote, 0),
        "kill the worker": lambda: os.kill(worker, 0),
        "kill all": lambda: os.kill(-1, 0),
        "kill itself": lambda: os.kill(os.getpid(), 0),
        "trace the zygote": lambda: _call(101 if os.uname().machine == "x86_64" else 117, 16, zygote, 0, 0),
        "io_uring": lambda: _call(425, 1, ctypes.create_string_buffer(200)),
        "hide itself": lambda: _call(157 if os.uname().machine == "x86_64" else 167, 4, 0, 0, 0, 0),
        "namespace": lambda: _call(272 if os.uname().machine == "x86_64" else 97, 0x1000_0000),
        "session": os.setsid,
        "shared memory that stays": lambda: _call(29 if os.uname().machine == "x86_64" else 194, 0, 4096, 0o1600),
        "message queue that stays": lambda: _call(68 if os.uname().machine == "x86_64" else 186, 0, 0o1600),
        "lift its own limits": _lift,
        "limit the worker": lambda: _call(
            302 if os.uname().machine == "x86_64" else 261, worker, 0, ctypes.create_string_buffer(16), None
        ),
        "own folder": lambda: (context.folder / "mine").write_text("mine"),
        "temporary folder": lambda: tempfile.TemporaryFile().close(),
        "read outside": lambda: Path(given.text, "secret").read_text(),
        "list outside": lambda: os.listdir(given.text),
        "write outside": lambda: Path(given.text, "written").write_text("x"),
        "link outside": lambda: os.symlink("/etc/shadow", context.folder / "link"),
        "shadow": lambda: Path("/etc/shadow").read_text(),
        "program": lambda: subprocess.run(["true"], check=True),
        "fork": _fork,
        "thread": _thread,
    }
    return _outcomes(attempts)


def _lift() -> None:
    """As `resource.setrlimit`, which hides what the kernel says: all the address space there is."""
    number = 302 if os.uname().machine == "x86_64" else 261
    _call(number, 0, resource.RLIMIT_AS, struct.pack("=qq", -1, -1), None)


def _fork() -> None:
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _thread() -> None:
    thread = threading.Thread(target=time.monotonic)
    thread.start()
    thread.join()


@job(seconds=20, memory_mb=256)
def try_everything(given: Given, context: Context) -> Report:
    """Try it in the standard sandbox."""
    return _everything(given, context)


@job(seconds=20, memory_mb=256, isolation="fork", sandbox="strict")
def try_everything_strictly(given: Given, context: Context) -> Report:
    """Try it in the strict sandbox."""
    return _everything(given, context)


@job(seconds=20, memory_mb=256, isolation="fork", network=True)
def try_everything_online(given: Given, context: Context) -> Report:
    """Try it with the network."""
    return _everything(given, context)


@job(seconds=20, memory_mb=256)
def dial_deep_inside(given: Given) -> Report:
    """Raise another error, whose cause is the refusal."""
    try:
        socket.create_connection(("127.0.0.1", 9), timeout=1).close()
    except OSError as error:
        raise ValueError(given.text) from error
    return Report()


@job(seconds=20, memory_mb=256, isolation="fork", sandbox="strict")
def start_a_program_strictly(given: Given) -> Report:
    """Start a program in the strict sandbox."""
    subprocess.run(["echo", given.text], check=True)
    return Report()


@job(seconds=20, memory_mb=256, isolation="fork", sandbox="strict")
def read_strictly(given: Given, context: Context) -> Report:
    """Read the reference that was given, and the path beside it."""
    found = {}
    if given.file:
        with context.open(given.file) as file:
            found["reference"] = file.read(100).decode()
    found |= _outcomes({"path": lambda: Path(given.text).read_text()}).found
    return Report(found=found)


@job(seconds=20, memory_mb=256)
def leave_a_daemon(given: Given) -> Report:
    """Leave a process behind that resists its end: its own parent is gone, and it ignores signals."""
    read, write = os.pipe()
    if os.fork() == 0:
        with contextlib.suppress(OSError):
            os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            os.write(write, str(os.getpid()).encode())
            time.sleep(600)
        os._exit(0)
    return Report(pid=int(os.read(read, 20)), found={"parent": str(os.getpid())})


@job(seconds=20, memory_mb=256, isolation="fork")
def leave_a_daemon_forked(given: Given) -> Report:
    """The same, in a child of its own."""
    return leave_a_daemon.work(given, None) if leave_a_daemon.work else Report()


@job(seconds=30, memory_mb=256)
def start_and_wait(given: Given, context: Context) -> Report:
    """Start a program, report its pid and wait."""
    process = subprocess.Popen(["sleep", "600"])
    context.progress(1, None, f"{os.getpid()} {process.pid}")
    process.wait()
    return Report()


@job(seconds=2, memory_mb=256)
def bomb(given: Given) -> Report:
    """Fork, and fork again, up to a number: enough for a bomb, not enough for the machine that tests it."""
    count = Path(given.text)
    while True:
        with contextlib.suppress(OSError):
            if count.stat().st_size < given.number and os.fork() == 0:
                with count.open("a") as file:
                    file.write("x")
        time.sleep(0.01)


@job(seconds=20, memory_mb=256)
def flood(given: Given) -> Report:
    """Print more than the worker reads."""
    for _ in range(given.number):
        os.write(1, b"x" * 1023 + b"\n")
    return Report()


@job(seconds=1, memory_mb=256)
def print_for_ever(given: Given, context: Context) -> Report:
    """Print until it is ended, and have a program do so too."""
    subprocess.Popen(["yes", "from a program"])
    context.progress(1, None, str(os.getpid()))
    while True:
        os.write(2, b"x" * 65536)


@job(seconds=20, memory_mb=256, output_mb=1)
def fill_the_disk(given: Given, context: Context) -> Report:
    """Write file after file, each within its limit."""
    number = 0
    while True:
        (context.folder / f"{number}").write_bytes(bytes(1 << 20))
        number += 1


def _hold(folder: Path) -> None:
    """Take 8 MiB in files that have no name any more, and wait."""
    held = []
    for number in range(8):
        path = folder / f"{number}"
        held.append(path.open("wb", 0))
        held[-1].write(bytes(1 << 20))
        path.unlink()
    time.sleep(600)


@job(seconds=5, memory_mb=256, output_mb=1)
def hold_deleted_files(given: Given, context: Context) -> Report:
    """Delete what still takes the disk."""
    _hold(context.folder)
    return Report()


@job(seconds=5, memory_mb=256, output_mb=1, isolation="fork", sandbox="strict")
def hold_deleted_files_strictly(given: Given, context: Context) -> Report:
    """The same, hidden from others as far as the sandbox allows."""
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
    _hold(context.folder)
    return Report()


@job(seconds=5, memory_mb=256, output_mb=1)
def have_others_hold_deleted_files(given: Given, context: Context) -> Report:
    """The same, by a process whose parent has ended, started by a thread."""
    folder = context.folder

    def start() -> None:
        if os.fork() == 0:
            if os.fork() == 0:
                _hold(folder)
            os._exit(0)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    time.sleep(600)
    return Report()


@job(seconds=5, memory_mb=256, output_mb=1)
def hold_files_in_memory(given: Given) -> Report:
    """Take 8 MiB of memory in files, which no cap of a process counts."""
    held = [os.memfd_create(str(number)) for number in range(8)]
    for file in held:
        os.write(file, bytes(1 << 20))
    time.sleep(600)
    return Report()


@job(seconds=20, memory_mb=256, output_mb=1)
def hold_few_deleted_files(given: Given, context: Context) -> Report:
    """Hold one deleted file of 1 MiB open many times, for longer than one measurement takes."""
    path = context.folder / "deleted"
    path.write_bytes(bytes(1 << 20))
    held = [path.open("rb") for _ in range(20)]
    path.unlink()
    time.sleep(given.number)
    return Report(found={"held": str(len(held))})


@job(seconds=20, memory_mb=256, output_mb=1, artifacts=3)
def make_files(given: Given, context: Context) -> Report:
    """Make artifacts of half a MiB each, or of nothing."""
    for number in range(given.number):
        with context.create(f"{number}.bin", "application/octet-stream") as file:
            file.write(bytes(1 << 19) if given.text else b"")
    return Report()


@job(seconds=20, memory_mb=256)
def disturb(given: Given) -> Report:
    """Change every state that a process has once."""
    os.environ["PLANTED"] = "yes"
    os.environ.pop("HOME", None)
    os.chdir("/")
    os.umask(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 600)
    tempfile.tempdir = "/nowhere"
    random.seed(1)
    decimal.getcontext().prec = 3
    socket.setdefaulttimeout(0.001)
    sys.setrecursionlimit(200)
    gc.disable()
    gc.set_threshold(7)
    gc.callbacks.append(print)
    sys.stdout = sys.__stdout__ if sys.stdout is not sys.__stdout__ else sys.stderr
    with contextlib.suppress(locale.Error):
        locale.setlocale(locale.LC_ALL, "C.UTF-8")
    return look.work(given, None) if look.work else Report()


@job(seconds=20, memory_mb=256)
def look(given: Given) -> Report:
    """Report every state that a process has once."""
    mask = os.umask(0o77)
    os.umask(mask)
    return Report(
        pid=os.getpid(),
        found={
            "environment": f"{os.environ.get('PLANTED')} {os.environ.get('HOME')}",
            "folder": os.getcwd(),
            "mask": f"{mask:o}",
            "handlers": f"{signal.getsignal(signal.SIGTERM)} {signal.getsignal(signal.SIGALRM)}",
            "timer": f"{signal.getitimer(signal.ITIMER_REAL)[0] > 0}",
            "temporary": tempfile.gettempdir().rpartition("/")[2],
            "drawn": str(random.random()),  # noqa: S311 -- only to be different
            "precision": str(decimal.getcontext().prec),
            "timeout": str(socket.getdefaulttimeout()),
            "depth": str(sys.getrecursionlimit()),
            "stream": type(sys.stdout).__name__ + str(sys.stdout is sys.stderr),
            "locale": locale.setlocale(locale.LC_ALL),
            "collector": f"{gc.isenabled()} {gc.get_threshold()} {len(gc.callbacks)}",
        },
    )


@job(seconds=20, memory_mb=256)
def leave_a_thread(given: Given) -> Report:
    """Leave a thread behind."""
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    return Report(pid=os.getpid())


@job(seconds=20, memory_mb=256)
def list_open_files(given: Given) -> Report:
    """Report the open files and the environment of this process."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[name] = os.readlink(f"/proc/self/fd/{name}")
    found["environ"] = Path("/proc/self/environ").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return Report(found=found)


@job(seconds=20, memory_mb=256, fetches=2)
def fetch_them(given: Given, context: Context) -> Report:
    """Have URLs fetched, one a line."""
    found = {}
    for url in given.text.split():
        brought = context.fetch(url)
        found[url] = f"{brought.mime_type} {brought.path.read_text()}"
    return Report(found=found)


@job(seconds=20, memory_mb=256, fetches=2, isolation="fork", sandbox="strict")
def fetch_them_strictly(given: Given, context: Context) -> Report:
    """The same, in the strict sandbox."""
    return fetch_them.work(given, context) if fetch_them.work else Report()


@job(seconds=20, memory_mb=256, isolation="fork", sandbox="strict", pure=True)
def read_reference(given: Given, context: Context) -> Report:
    """Read a file by its reference."""
    if given.file is None:
        return Report()
    with context.open(given.file) as file:
        return Report(found={"content": file.read(1000).decode()})


@job(seconds=20, memory_mb=256, isolation="fork", sandbox="strict")
def abort(given: Given) -> Report:
    """Abort, as a C library does on an internal error."""
    os.abort()
